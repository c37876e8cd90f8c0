// Package jobs does the hub's long work: training, durably queued in Postgres.
//
// It knows when a training is due, keeps its progress where anybody can read it, and carries out the decision of the
// backtest through the registry. It must not know how models are fitted (train) or measured (backtest) beyond calling them.
//
// # A training, and what a crash leaves
//
//   - Asked for: one transaction inserts the job and its run. There is at most one unfinished job for an organisation and
//     resolution; asking again returns the run of that one.
//   - Working: the trainer beats every few seconds in the run's row. When it is killed, the beats stop, and any hub hands
//     the job back to the queue; a job that killed every trainer that tried it is given up and its run says so.
//   - Fitting: the first attempt notes where the history ends that it learns from, and keeps each fit that is done (package train
//     says under which names); long fits keep their state besides. An attempt that follows a dead one does no fit again, and of the
//     same history comes to the same bytes: what is kept is found only by the same version of the program, for the same data
//     and settings. Late readings that change the history in between, or another active model, cost the fits that they touch. The
//     time left that it tells is by what it does itself. All that is kept is deleted in the transaction that ends the run.
//   - Deciding: the candidate is stored, then promoted or rejected, then the run is finished. A trainer that dies in between
//     leaves a candidate that nobody uses, and the next attempt fits another.
//   - Stopping a hub in an orderly way puts the job back without counting the attempt.
package jobs
