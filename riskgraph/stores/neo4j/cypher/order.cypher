// One order as it is shown in Neo4j Browser: behavior nodes that are present, their edges, and what it shares.
// In Browser the first lines read `:param order => '...'`; the command prints its edges.
// @param order text: key of an order, MERCHANT|CHANNEL|ORDER
// @param limit whole = 500: most rows
MATCH (o:Order {key: $order})
CALL (o) {
  MATCH (o)-[r:HAS]->(b:Behavior {state: 'present'}) RETURN o AS a, r, b
  UNION
  MATCH (o)-[:HAS]->(a:Behavior)-[r]->(b:Behavior) RETURN a, r, b
  UNION
  MATCH (o)-[r:PLACED_BY|ON_DEVICE|PAID_WITH|DELIVERED_TO|REACHED_AT]->(b) RETURN o AS a, r, b
}
RETURN coalesce(a.key, a.id, a.digest) AS from, type(r) AS edge, coalesce(b.key, b.id, b.digest) AS to,
  coalesce(b.name, '') AS name, coalesce(b.value, '') AS value
LIMIT $limit
