// Path to known fraud: the shortest ways from an order to orders with a fraud outcome, over what they share.
// Hubs are no way. A way has at most three entities.
// @param order text: key of an order, MERCHANT|CHANNEL|ORDER
// @param limit whole = 5: most rows
MATCH way = ANY SHORTEST (start:Order {key: $order})
  ((a)-[r:PLACED_BY|ON_DEVICE|PAID_WITH|DELIVERED_TO|REACHED_AT]-(b)
    WHERE NOT coalesce(a.hub, false) AND NOT coalesce(b.hub, false)){1,6} (bad:Fraud)
WHERE bad <> start
RETURN bad.key AS fraud, length(way) / 2 AS entities,
  [n IN nodes(way) | coalesce(n.key, head(labels(n)) + ' ' + left(n.digest, 8))] AS way,
  toString(datetime({epochSeconds: toInteger(bad.at)})) AS at
ORDER BY entities, at DESC, fraud
LIMIT $limit
