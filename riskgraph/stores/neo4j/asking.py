"""The one statement of a hot read: what a context asks of other services' orders, all at once.

Written out, since names of properties are no parameters. Traps, each measured:

- Only ``ORDER BY`` with the digest in front follows the composite index, so that a hub costs no sort.
- ``since`` is compared after the limit: before it, the index of a hub would be walked to its end.
- A list that is a parameter itself has its length in the key of the plan cache, and planning takes longer
  than an order waits; so there is one map. For the same reason a plan is kept when statistics change.
- Over 500 orders with fraud make a hub, which counts for nothing: null stands for them, and none is read.
- The hints name the indexes, since a plan that is kept must not rest on the statistics of an empty graph. A
  missing index is no error: the server scans.
"""

from __future__ import annotations

from typing import LiteralString

ASK: LiteralString = """
CYPHER replan=skip
UNWIND $asked.newest_account AS asked
CALL (asked) {
  MATCH (o:Order) USING INDEX o:Order(account, at)
  WHERE o.account = asked.digest AND o.at < $asked.before AND o.key <> $asked.key
  WITH o ORDER BY o.account DESC, o.at DESC LIMIT $limit
  WITH o WHERE o.at >= asked.since
  RETURN collect([o.key, o.facts, o.outcomes]) AS found
}
RETURN "newest" AS what, "account" AS kind, asked.digest AS digest, found
UNION ALL
UNWIND $asked.newest_device AS asked
CALL (asked) {
  MATCH (o:Order) USING INDEX o:Order(device, at)
  WHERE o.device = asked.digest AND o.at < $asked.before AND o.key <> $asked.key
  WITH o ORDER BY o.device DESC, o.at DESC LIMIT $limit
  WITH o WHERE o.at >= asked.since
  RETURN collect([o.key, o.facts, o.outcomes]) AS found
}
RETURN "newest" AS what, "device" AS kind, asked.digest AS digest, found
UNION ALL
UNWIND $asked.newest_card AS asked
CALL (asked) {
  MATCH (o:Order) USING INDEX o:Order(card, at)
  WHERE o.card = asked.digest AND o.at < $asked.before AND o.key <> $asked.key
  WITH o ORDER BY o.card DESC, o.at DESC LIMIT $limit
  WITH o WHERE o.at >= asked.since
  RETURN collect([o.key, o.facts, o.outcomes]) AS found
}
RETURN "newest" AS what, "card" AS kind, asked.digest AS digest, found
UNION ALL
UNWIND $asked.newest_address AS asked
CALL (asked) {
  MATCH (o:Order) USING INDEX o:Order(address, at)
  WHERE o.address = asked.digest AND o.at < $asked.before AND o.key <> $asked.key
  WITH o ORDER BY o.address DESC, o.at DESC LIMIT $limit
  WITH o WHERE o.at >= asked.since
  RETURN collect([o.key, o.facts, o.outcomes]) AS found
}
RETURN "newest" AS what, "address" AS kind, asked.digest AS digest, found
UNION ALL
UNWIND $asked.newest_phone AS asked
CALL (asked) {
  MATCH (o:Order) USING INDEX o:Order(phone, at)
  WHERE o.phone = asked.digest AND o.at < $asked.before AND o.key <> $asked.key
  WITH o ORDER BY o.phone DESC, o.at DESC LIMIT $limit
  WITH o WHERE o.at >= asked.since
  RETURN collect([o.key, o.facts, o.outcomes]) AS found
}
RETURN "newest" AS what, "phone" AS kind, asked.digest AS digest, found
UNION ALL
UNWIND $asked.hub_account AS digest
CALL (digest) {
  MATCH (o:Order) USING INDEX o:Order(account, at)
  WHERE o.account = digest AND o.at < $asked.before AND o.key <> $asked.key
  WITH o LIMIT $hub
  RETURN count(o) AS count
}
RETURN "hub" AS what, "account" AS kind, digest, [count] AS found
UNION ALL
UNWIND $asked.hub_card AS digest
CALL (digest) {
  MATCH (o:Order) USING INDEX o:Order(card, at)
  WHERE o.card = digest AND o.at < $asked.before AND o.key <> $asked.key
  WITH o LIMIT $hub
  RETURN count(o) AS count
}
RETURN "hub" AS what, "card" AS kind, digest, [count] AS found
UNION ALL
UNWIND $asked.hub_address AS digest
CALL (digest) {
  MATCH (o:Order) USING INDEX o:Order(address, at)
  WHERE o.address = digest AND o.at < $asked.before AND o.key <> $asked.key
  WITH o LIMIT $hub
  RETURN count(o) AS count
}
RETURN "hub" AS what, "address" AS kind, digest, [count] AS found
UNION ALL
UNWIND $asked.hub_phone AS digest
CALL (digest) {
  MATCH (o:Order) USING INDEX o:Order(phone, at)
  WHERE o.phone = digest AND o.at < $asked.before AND o.key <> $asked.key
  WITH o LIMIT $hub
  RETURN count(o) AS count
}
RETURN "hub" AS what, "phone" AS kind, digest, [count] AS found
UNION ALL
UNWIND $asked.fraud_account AS digest
CALL (digest) {
  MATCH (o:Fraud) USING INDEX o:Fraud(account)
  WHERE o.account = digest AND o.at >= $asked.fraud_since AND o.at < $asked.before AND o.key <> $asked.key
  WITH o LIMIT $hub
  WITH collect(o) AS orders
  RETURN CASE size(orders) WHEN $hub THEN null ELSE [o IN orders | [o.key, o.facts, o.outcomes]] END AS found
}
RETURN "fraud" AS what, "account" AS kind, digest, found
UNION ALL
UNWIND $asked.fraud_card AS digest
CALL (digest) {
  MATCH (o:Fraud) USING INDEX o:Fraud(card)
  WHERE o.card = digest AND o.at >= $asked.fraud_since AND o.at < $asked.before AND o.key <> $asked.key
  WITH o LIMIT $hub
  WITH collect(o) AS orders
  RETURN CASE size(orders) WHEN $hub THEN null ELSE [o IN orders | [o.key, o.facts, o.outcomes]] END AS found
}
RETURN "fraud" AS what, "card" AS kind, digest, found
UNION ALL
UNWIND $asked.fraud_address AS digest
CALL (digest) {
  MATCH (o:Fraud) USING INDEX o:Fraud(address)
  WHERE o.address = digest AND o.at >= $asked.fraud_since AND o.at < $asked.before AND o.key <> $asked.key
  WITH o LIMIT $hub
  WITH collect(o) AS orders
  RETURN CASE size(orders) WHEN $hub THEN null ELSE [o IN orders | [o.key, o.facts, o.outcomes]] END AS found
}
RETURN "fraud" AS what, "address" AS kind, digest, found
UNION ALL
UNWIND $asked.fraud_phone AS digest
CALL (digest) {
  MATCH (o:Fraud) USING INDEX o:Fraud(phone)
  WHERE o.phone = digest AND o.at >= $asked.fraud_since AND o.at < $asked.before AND o.key <> $asked.key
  WITH o LIMIT $hub
  WITH collect(o) AS orders
  RETURN CASE size(orders) WHEN $hub THEN null ELSE [o IN orders | [o.key, o.facts, o.outcomes]] END AS found
}
RETURN "fraud" AS what, "phone" AS kind, digest, found
UNION ALL
UNWIND $asked.parts AS parts
MATCH (a:Address)
WHERE a.part_0 = parts[0] OR a.part_1 = parts[1] OR a.part_2 = parts[2] OR a.part_3 = parts[3]
RETURN "alike" AS what, "address" AS kind, null AS digest, collect([a.digest, a.bands]) AS found
"""
