// What reviews changed: decisions of which a person came to another verdict, with the outcomes of their orders.
// @param limit whole = 50: most rows
MATCH (d:Decision)-[:ABOUT]->(o:Order)
WHERE d.decided IS NOT NULL AND d.decided <> d.verdict
OPTIONAL MATCH (x:Outcome)-[:OF]->(o)
WITH d, o, collect(DISTINCT x.kind) AS outcomes
RETURN d.id AS decision, o.key AS order, d.score AS score, d.decided AS decided, d.verdict AS stands,
  outcomes, toString(datetime({epochSeconds: toInteger(d.at)})) AS at
ORDER BY d.at DESC, decision
LIMIT $limit
