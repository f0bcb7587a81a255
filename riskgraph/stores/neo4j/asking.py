"""The one statement of a hot read: what a context asks of other services' orders, all at once.

Written out, since names of properties are no parameters. Three traps: only ``ORDER BY`` with the digest in
front follows the composite index, so that a hub costs no sort; ``since`` is compared after the limit, since
before it the index would be walked to its end; and what is empty in ``$...`` costs next to nothing.
"""

from __future__ import annotations

from typing import LiteralString

ASK: LiteralString = """
UNWIND $newest_account AS asked
CALL (asked) {
  MATCH (o:Order) WHERE o.account = asked.digest AND o.at < $before AND o.key <> $key
  WITH o ORDER BY o.account DESC, o.at DESC LIMIT $limit
  WITH o WHERE o.at >= asked.since
  RETURN collect([o.key, o.facts, o.outcomes]) AS found
}
RETURN "newest" AS what, "account" AS kind, asked.digest AS digest, found
UNION ALL
UNWIND $newest_device AS asked
CALL (asked) {
  MATCH (o:Order) WHERE o.device = asked.digest AND o.at < $before AND o.key <> $key
  WITH o ORDER BY o.device DESC, o.at DESC LIMIT $limit
  WITH o WHERE o.at >= asked.since
  RETURN collect([o.key, o.facts, o.outcomes]) AS found
}
RETURN "newest" AS what, "device" AS kind, asked.digest AS digest, found
UNION ALL
UNWIND $newest_card AS asked
CALL (asked) {
  MATCH (o:Order) WHERE o.card = asked.digest AND o.at < $before AND o.key <> $key
  WITH o ORDER BY o.card DESC, o.at DESC LIMIT $limit
  WITH o WHERE o.at >= asked.since
  RETURN collect([o.key, o.facts, o.outcomes]) AS found
}
RETURN "newest" AS what, "card" AS kind, asked.digest AS digest, found
UNION ALL
UNWIND $newest_address AS asked
CALL (asked) {
  MATCH (o:Order) WHERE o.address = asked.digest AND o.at < $before AND o.key <> $key
  WITH o ORDER BY o.address DESC, o.at DESC LIMIT $limit
  WITH o WHERE o.at >= asked.since
  RETURN collect([o.key, o.facts, o.outcomes]) AS found
}
RETURN "newest" AS what, "address" AS kind, asked.digest AS digest, found
UNION ALL
UNWIND $newest_phone AS asked
CALL (asked) {
  MATCH (o:Order) WHERE o.phone = asked.digest AND o.at < $before AND o.key <> $key
  WITH o ORDER BY o.phone DESC, o.at DESC LIMIT $limit
  WITH o WHERE o.at >= asked.since
  RETURN collect([o.key, o.facts, o.outcomes]) AS found
}
RETURN "newest" AS what, "phone" AS kind, asked.digest AS digest, found
UNION ALL
UNWIND $hub_account AS digest
CALL (digest) {
  MATCH (o:Order) WHERE o.account = digest AND o.at < $before AND o.key <> $key
  WITH o LIMIT $hub
  RETURN count(o) AS count
}
RETURN "hub" AS what, "account" AS kind, digest, [count] AS found
UNION ALL
UNWIND $hub_card AS digest
CALL (digest) {
  MATCH (o:Order) WHERE o.card = digest AND o.at < $before AND o.key <> $key
  WITH o LIMIT $hub
  RETURN count(o) AS count
}
RETURN "hub" AS what, "card" AS kind, digest, [count] AS found
UNION ALL
UNWIND $hub_address AS digest
CALL (digest) {
  MATCH (o:Order) WHERE o.address = digest AND o.at < $before AND o.key <> $key
  WITH o LIMIT $hub
  RETURN count(o) AS count
}
RETURN "hub" AS what, "address" AS kind, digest, [count] AS found
UNION ALL
UNWIND $hub_phone AS digest
CALL (digest) {
  MATCH (o:Order) WHERE o.phone = digest AND o.at < $before AND o.key <> $key
  WITH o LIMIT $hub
  RETURN count(o) AS count
}
RETURN "hub" AS what, "phone" AS kind, digest, [count] AS found
UNION ALL
UNWIND $fraud_account AS digest
MATCH (o:Fraud) WHERE o.account = digest AND o.at >= $fraud_since AND o.at < $before
RETURN "fraud" AS what, "account" AS kind, digest, collect([o.key, o.facts, o.outcomes]) AS found
UNION ALL
UNWIND $fraud_card AS digest
MATCH (o:Fraud) WHERE o.card = digest AND o.at >= $fraud_since AND o.at < $before
RETURN "fraud" AS what, "card" AS kind, digest, collect([o.key, o.facts, o.outcomes]) AS found
UNION ALL
UNWIND $fraud_address AS digest
MATCH (o:Fraud) WHERE o.address = digest AND o.at >= $fraud_since AND o.at < $before
RETURN "fraud" AS what, "address" AS kind, digest, collect([o.key, o.facts, o.outcomes]) AS found
UNION ALL
UNWIND $fraud_phone AS digest
MATCH (o:Fraud) WHERE o.phone = digest AND o.at >= $fraud_since AND o.at < $before
RETURN "fraud" AS what, "phone" AS kind, digest, collect([o.key, o.facts, o.outcomes]) AS found
UNION ALL
UNWIND $parts AS parts
MATCH (a:Address)
WHERE a.part_0 = parts[0] OR a.part_1 = parts[1] OR a.part_2 = parts[2] OR a.part_3 = parts[3]
RETURN "alike" AS what, "address" AS kind, null AS digest, collect([a.digest, a.bands]) AS found
"""
