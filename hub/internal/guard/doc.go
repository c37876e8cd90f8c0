// Package guard tells an agent from a copy of it: a second gateway with a cloned card, or an old backup that was put back. Both have
// the same key and give the same sequences to other readings, so what one sends the hub would take for what it has of the other.
//
// It knows lineages and decides. It must not know SQL, gRPC or certificates; the hub's store keeps a Lineage for each agent and
// applies each decision in one transaction.
//
// # The lineage
//
// An agent names each session with 16 bytes drawn at random, and keeps the name durably before it says Hello. Hello shows that name
// (next) and that of the last session which the agent was welcomed to (last). Of all that show the same last, the first one goes on:
// its next becomes what must be shown as last. Another that has the same data drew another name, so it is refused, with an alarm
// on both sides, also if the two are never connected at once. Which of them is the real one no machine can know.
//
// # States at the hub, and what is good in each
//
//	{}        the agent was never here, or keeps no lineage              anything; next becomes the current one
//	{P, C}    C was begun by who showed P; whether Welcome arrived       last = C: {C, next}
//	          is not known                                               last = P and next = C: no change, the same receipt
//
// # Why no crash locks an honest agent out
//
// The agent's disk holds last, and from before Hello until after Welcome next. Either C = last, or P = last and C = next, always:
//
//	it dies before next is durable             nothing was sent; it draws another
//	the Hello is lost, or the transaction      C = last; next is sent again
//	the Welcome is lost, or the agent dies     P = last and C = next: next is sent again, and good
//	it dies after it took Welcome              its disk says last = C; it draws another next
//	its disk takes no next                     Hello without one: good if last = C, and no session is begun
//	its disk does not take the Welcome         the session goes on; the next one shows the same pair, and is good
//	a Hello of long ago arrives late           it is good as above, or refused, and nobody listens; the state stays
//
// So two with the same data are told apart by the second one's first Hello; if they were copied between Hello and Welcome, when
// they have the same next, by its second.
//
// # When the hub was set back
//
// A database restored from a backup knows an earlier C than its agents. Sessions are numbered, and Welcome carries a receipt for name
// and number that only this hub can make (authority.Receipt). One that shows a higher number than the hub knows proves that
// it is the hub that forgot: it is good, and logged.
//
// # Agents that keep no lineage
//
// Agents of the version before are let in as they were then, while no newer version has been here. After a downgrade one is
// let in if its store goes on where it was (its next sequence is no lower than any that the hub knows of the epoch, or the epoch is
// new), with a warning, since a copy could hide behind that; otherwise it counts as a copy. A hub of the version before ignores the
// lineage, and the agent keeps the pair that it has.
//
// # Letting one in again
//
// After `fluxora-hub agent readmit` the next that is refused is let in, once, and whoever is in force then is refused from its next
// Hello on. Its sequences may be used, so it is told to begin a new epoch first, under which everything that it holds goes
// up again; what is here already counts as duplicate. A crash anywhere on that way leaves it refused with the readmission
// still open, or let in.
package guard
