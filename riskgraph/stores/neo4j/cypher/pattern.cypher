// Orders whose behavior nodes fit a scorecard, as a pattern of the decision tree does. Orders without nodes are not seen.
// A card is a list of NODE OP VALUE:POINTS, for instance "B110=yes:2,B085=absent:1,B093<20:1". Nothing but
// =absent holds for an absent node. Numbers are compared with a node's first component.
// @param card card: what counts, and how much
// @param tau number = 1: least points
// @param days whole = 30: orders of the days before the newest order
// @param limit whole = 50: most rows
MATCH (last:Order) WHERE last.day > 0
WITH max(last.day) AS day, max(last.at) AS newest
MATCH (o:Order) WHERE o.day >= day - $days AND o.at > newest - 86400.0 * $days AND o.nodes
CALL (o) {
  UNWIND $card AS want
  MATCH (o)-[:HAS]->(b:Behavior {id: want.node})
  WITH want, b, CASE
    WHEN want.op = 'absent' THEN b.state <> 'present'
    WHEN b.state <> 'present' THEN false
    WHEN want.op = '=' THEN b.value = want.value
    WHEN want.op = '<' THEN b.components[0] < want.number
    ELSE b.components[0] > want.number
  END AS fits
  WHERE fits
  RETURN sum(want.points) AS points, collect(b.id + ' ' + coalesce(b.value, b.state)) AS holds
}
WITH o, points, holds WHERE points >= $tau
RETURN o.key AS order, points, holds,
  head(COLLECT { MATCH (d:Decision)-[:ABOUT]->(o) RETURN d.verdict ORDER BY d.at DESC }) AS verdict, o:Fraud AS fraud
ORDER BY points DESC, o.at DESC, o.key
LIMIT $limit
