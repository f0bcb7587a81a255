// The newest orders behind one device, card, address, account or phone; of a hub too, whose orders have no edges.
// @param digest text: keyed hash of the entity, as hex
// @param limit whole = 50: most rows
CALL () {
  MATCH (o:Order) WHERE o.device = $digest AND o.at > 0 RETURN o, 'device' AS shares
  ORDER BY o.device DESC, o.at DESC LIMIT $limit
  UNION
  MATCH (o:Order) WHERE o.card = $digest AND o.at > 0 RETURN o, 'card' AS shares
  ORDER BY o.card DESC, o.at DESC LIMIT $limit
  UNION
  MATCH (o:Order) WHERE o.address = $digest AND o.at > 0 RETURN o, 'address' AS shares
  ORDER BY o.address DESC, o.at DESC LIMIT $limit
  UNION
  MATCH (o:Order) WHERE o.account = $digest AND o.at > 0 RETURN o, 'account' AS shares
  ORDER BY o.account DESC, o.at DESC LIMIT $limit
  UNION
  MATCH (o:Order) WHERE o.phone = $digest AND o.at > 0 RETURN o, 'phone' AS shares
  ORDER BY o.phone DESC, o.at DESC LIMIT $limit
}
RETURN o.key AS order, shares, toString(datetime({epochSeconds: toInteger(o.at)})) AS at, o.amount AS amount,
  o.currency AS currency, head(COLLECT { MATCH (d:Decision)-[:ABOUT]->(o) RETURN d.verdict ORDER BY d.at DESC }) AS verdict, o:Fraud AS fraud
ORDER BY at DESC, order
LIMIT $limit
