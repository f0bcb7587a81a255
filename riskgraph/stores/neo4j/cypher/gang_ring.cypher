// A gang's ring: accounts within two hops of an order's account over shared cards, addresses and phones.
// Hubs are no links. Each step follows at most `cap` entities and accounts.
// @param order text: key of an order, MERCHANT|CHANNEL|ORDER
// @param cap whole = 50: most entities and accounts of a step
// @param limit whole = 100: most rows
MATCH (:Order {key: $order})-[:PLACED_BY]->(start:Account)
CALL (start) {
  MATCH (start)<-[:PLACED_BY]-(:Order)-[link:PAID_WITH|DELIVERED_TO|REACHED_AT]->(e)
  WHERE NOT coalesce(e.hub, false)
  WITH DISTINCT start, e, type(link) AS link LIMIT $cap
  MATCH (e)<-[:PAID_WITH|DELIVERED_TO|REACHED_AT]-(:Order)-[:PLACED_BY]->(a:Account)
  WHERE a <> start
  RETURN a, collect(DISTINCT link) AS links LIMIT $cap
}
WITH start, collect({account: a, hops: 1, links: links}) AS near
CALL (start, near) {
  UNWIND near AS row RETURN row.account AS account, row.hops AS hops, row.links AS links
  UNION
  UNWIND near AS row
  WITH start, row.account AS middle, [r IN near | r.account] AS known
  MATCH (middle)<-[:PLACED_BY]-(:Order)-[link:PAID_WITH|DELIVERED_TO|REACHED_AT]->(e)
  WHERE NOT coalesce(e.hub, false)
  WITH DISTINCT start, known, e, type(link) AS link LIMIT $cap
  MATCH (e)<-[:PAID_WITH|DELIVERED_TO|REACHED_AT]-(:Order)-[:PLACED_BY]->(account:Account)
  WHERE account <> start AND NOT account IN known
  RETURN account, 2 AS hops, collect(DISTINCT link) AS links LIMIT $cap
}
WITH account, min(hops) AS hops, collect(links) AS found
RETURN account.digest AS account, hops,
  reduce(all = [], links IN found | all + [l IN links WHERE NOT l IN all]) AS over,
  account.orders AS orders, COUNT { (account)<-[:PLACED_BY]-(:Fraud) } AS fraud
ORDER BY hops, fraud DESC, orders DESC, account
LIMIT $limit
