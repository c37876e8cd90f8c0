// Package uplink carries readings, forecasts and quarantined messages from this agent to its hub, and configuration and
// models back.
//
// It must not know how readings are kept (Store is what it sees of that), nor what is done with a model. gRPC is known here and
// in packages identity and hubtest only.
//
// # A session
//
// One TCP connection with mutual TLS carries one session, one bidirectional stream:
//
//	            agent                                     hub
//	dialling    Hello(epoch, next, lineage)      →
//	                                             ←        Welcome(cursor, beyond, window), or ComeBack
//	                                             ←        Config and Models, now and whenever they change
//	open        Declaration(series), before the first batch that uses them
//	            Batch(first, count, blocks)      →        commits, then
//	                                             ←        Ack(range), or Overlap(range, cursor, beyond), or Refusal(range)
//	            Report(id)                       →        commits, then
//	                                             ←        ReportAck(id)
//	closing     either side drops the connection; the hub may say ComeBack first
//
// Nothing else is needed to end a session in order: dropping it at any instant is as good.
//
// # What is durable when
//
//	before Batch       its readings are in the store; sending changes nothing here. What is in flight is known to memory alone.
//	at Ack             the readings are in the hub's database, in the transaction that moved its record of what it has
//	after Store.Ack    they may be trimmed here; forgetting the ack in a crash costs one Welcome or one replay
//	at Welcome         the hub's record replaces this agent's idea of it (Store.SetReceived): if the hub was restored from a
//	                   backup, what is still here goes up again; if this store was, its sequences go on behind the hub's
//
// # Why nothing is lost or doubled
//
// Every reading has a sequence, given once per epoch. Batches are unions of adjacent whole atoms (what one Append committed),
// and the hub commits a batch whole or not at all, so what the hub has is at any time a union of whole atoms. A session
// starts from exactly that. A batch which is committed but whose ack was lost is not in the next Welcome's gaps, so it is not
// sent again; if the commit was slower than the Welcome, the replay has the same range and changes nothing, or it overlaps:
// then the hub refuses it whole and tells what it has, and the gaps are sent, which divide at atoms again. An agent's
// sessions do not overlap at the hub. Lost ranges (evicted, damaged) go up as batches that refuse all they count, so the
// cursor passes them and the hub's ledger knows of them. A report is not acked before it is stored, and storing it twice
// changes nothing.
//
// # Fresh before backlog
//
// While no more than Options.Fresh readings wait, there is one lane, oldest first. With a longer backlog a live lane begins
// that far from the end and runs to whatever is appended meanwhile; it goes first, and the backlog, oldest first, fills the
// rest of the window, but never its last quarter: so a reading measured during a long refill waits for a round trip, not for
// the refill. The hub has at most three ranges then.
//
// Of two values of one instant the hub takes the one that arrives last, so a correction must not pass what it corrects. A batch
// of the live lane that holds a reading no newer than the newest of its series in the backlog may be one: then there is
// one lane, oldest first, until it is through. In the field that is rare, since meters publish in the order of time.
//
// # Bounds
//
// In flight: Options.InFlight readings or what Welcome allows, Options.InFlightBytes, 256 batches. A batch: BatchReadings or
// one atom. A message: wire.MaxMessage. Acks are taken before more is sent, and received beside sending, so a hub that reads
// slowly slows the sender and blocks nobody else. Without any ack for AckTimeout while some are awaited, and
// without an answer to keepalive for 15 s, the session is given up.
//
// # Between sessions
//
// Pauses grow from BackoffMin to BackoffMax, each drawn at random from the upper half of its span; an ack resets them. ComeBack
// is obeyed, up to an hour, with up to half as much again at random. A renewed certificate ends the session and the next
// begins at once.
//
// # Two agents with one identity
//
// A disk image that runs twice, or an old backup, has one key, one epoch and two histories under the same sequences. Each session has a
// name, kept before Hello shows it (Lineage, kept by package identity), and Hello also shows that of the session before. The
// hub lets on only who knows the last one, so the second of two is refused, also if they are never connected at once: the
// hub's package guard has the states and why no crash locks an honest agent out. A refused agent keeps measuring and
// forecasting, says why in log, status and metric, asks again every minute or so, and loses nothing. When an operator
// readmits it, it is told to begin a new epoch: Epoch changes, the hub has nothing of that one, so all that the store
// holds goes up again, and counts as duplicate where it is known.
//
// # A batch that the hub refuses
//
// It does not decode there, or holds a value or an instant beyond what a hub can store: a fault of this program, since ingest
// admits no such reading, or of the disk, or a format newer than the hub. One bad atom must not hold the rest up:
//
//	Refusal of many atoms    the range goes up again in halves, and what is good of it is acked on the way
//	Refusal of one atom      Store.SetAside: its bytes go into the quarantine with the hub's reason, durably, then the range
//	                         goes up as refused, so that the cursor passes it and the hub's account knows of it
//	crash between            the atom is in the quarantine and unacked: it is refused and set aside once more
//
// The readings stay in the log for history and forecasts here, and the quarantine carries their bytes to the hub in
// reports. But a hub that refuses everything is itself at fault, and emptying the log into a bounded quarantine
// for it would lose readings that its next version could take. So after maxAside atoms without an ack of anything else,
// refused batches are only held back, undivided, until readings are acked or the session ends; Status.LastError says so.
//
// A report is stored but for the entries that never can be, which ReportAck counts; they are logged, counted in
// Status.Unreportable, and not sent again. The hub has logged each.
package uplink
