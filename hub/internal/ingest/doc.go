// Package ingest is the hub's side of the uplink: it lets agents in, takes what they send, and tells them what the hub has for
// them.
//
// It knows gRPC, TLS and the order of messages. It must not know SQL (Store and Enrolment are what it sees of that) nor what
// is made of readings. The conversation, what is durable at each message, and why nothing is lost or doubled are set down in
// the agent's package uplink; what this side adds to keep its part:
//
//   - A batch is acked only after Store.CommitBatch has returned, and its record of what is committed moves in the same
//     transaction. A commit under way is not stopped when its session breaks.
//   - One agent has one live session. A newer one closes the older and waits until it is out of the store before it asks the
//     store for the Welcome; so a Welcome is never behind a commit of this process. Behind that of another hub process it may
//     be, which Overlap then mends.
//   - Whether an agent is a copy (Store.Knock, package guard) is decided before it may close the session of another, and durably
//     before it is told.
//   - Messages of a session are taken one at a time, in order, with one more being received meanwhile; flow control holds the
//     agent back. So a session's memory is bounded by two messages of wire.MaxMessage, and all of it by MaxSessions.
//
// # What can never be stored
//
// A batch that does not decode, does not add up or holds what the database cannot gets a Refusal, and the session goes on; the
// agent divides it. Entries of a report are stored one by one when they cannot be stored together, and the ReportAck says how
// many were refused. Both are counted (Stats.Unstorable) and logged as errors. Only a message without a usable range or order
// ends the session.
//
// # Books
//
// An agent tells its account of readings (Ledger) while none of its batches is in flight. As messages are taken in order, what it
// calls delivered is then exactly what is committed here, so a difference is one: Books keeps both sides, raises the alarm metric and has
// the day sent again (Resend), one request at a time for each agent, one part in flight. A difference ends when the agent has
// sent the day: what it still held is settled, what it held no more is named lost. Where more is here than the agent calls delivered, no
// resend helps: what its written-off readings explain, which arrived after all, is told as a difference once and named
// surplus; what nothing explains stays a difference. A ledger that cannot be read never ends a
// session: readings matter more. Requests of operators go first; all of them outlast sessions and restarts of both sides.
//
// # Who may come in
//
//	Enrol           nobody's certificate, but a token that the authority signed, unexpired and unused (or used by the same key:
//	                an answer may get lost); limited per address and in all
//	Renew           an agent's valid certificate, or one that expired within Authority's RenewWithin; the new one is for the same key
//	Sync, Artifact  an agent's valid certificate
//
// A certificate is valid when TLS verified it against the authority, when it has not expired by now, and when the store knows
// its serial number and has not revoked its agent. For a session that is checked at its start, every Options.Recheck, and at
// once when Recheck is called. An agent is told why it is turned away in a few words; what fails inside the hub is
// logged here and is "internal error" or "try again later" there.
//
// # Load
//
// A fleet that comes back after an outage of the hub brings hours of backlog, all at once, and goes on measuring. It is let in
// at the rate that the store takes:
//
//	the door        No more than MaxSessions are open, and no more than a rate are opened: OpenPerSec while commits are quick (of
//	                fresh readings with the wait for their turn), half as much for each second in which one was slow, and up
//	                again by a quarter. Who comes beyond is told ComeBack with a turn of its own, one after the other at that
//	                rate, not a random pause: so they come as fast as they can be let in.
//	the window      An agent has MaxInFlight readings under way at most. What it measures meanwhile goes first at its side, so it
//	                waits for a few batches and not for the backlog.
//	the turnstile   MaxCommits batches are committed at a time. Those with readings measured since their session began pass
//	                those of the backlog, which keeps one commit of four; while derivation lags, it has one place in all.
//
// Whether agents were revoked is asked for all sessions at once. When the server goes down it says ComeBack to everybody,
// finishes the commits under way, and closes.
package ingest
