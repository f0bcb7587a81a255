// Hot devices: those from which most accounts ordered in the days before the newest order.
// @param days whole = 30: length of the window; 1 is 24 hours
// @param limit whole = 20: most rows
MATCH (last:Order) WHERE last.day > 0
WITH max(last.day) AS day, max(last.at) AS newest
MATCH (o:Order) WHERE o.day >= day - $days AND o.at > newest - 86400.0 * $days AND o.device IS NOT NULL AND o.account IS NOT NULL
WITH o.device AS device, count(DISTINCT o.account) AS accounts, count(o) AS orders,
  sum(CASE WHEN o:Fraud THEN 1 ELSE 0 END) AS fraud, max(o.at) AS last
WHERE accounts > 1
RETURN device, accounts, orders, fraud, toString(datetime({epochSeconds: toInteger(last)})) AS last
ORDER BY accounts DESC, orders DESC, device
LIMIT $limit
