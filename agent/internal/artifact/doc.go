// Package artifact keeps the models that the hub announces, on the agent's disk.
//
// It knows files, digests and signatures. It must not know what is in an artifact: whether one can be used (it decodes, its
// self-test gives the expected bits, its feature spec is this agent's) is for Options.Check to say.
//
// # Files
//
//	index.json     which versions are active and previous, with digest and signature, and which were refused and why
//	<id>.model     a whole artifact that was verified and checked
//	<id>.part      what has come so far of one that is being downloaded
//
// index.json and *.model are written aside, synced and renamed. An artifact is renamed into place before the index names it,
// and deleted after the index has ceased to, so a crash leaves at worst a file that no index names, which Open removes.
//
// # Rules
//
//  1. Nothing is used that Ed25519 over its SHA-256, by the hub's artifact key, does not vouch for; this is looked at before
//     the download, after it, and again at every start, so that a bit that flips on flash is found.
//  2. An artifact that is refused changes nothing: what was active stays. The reason is remembered and reported, and the
//     same bytes are not downloaded again until the agent's software changes. Bytes that came in several pieces
//     and have the wrong digest are fetched once more from the start first, since the beginning may have been torn.
//  3. The first version announced becomes active when it is there and not before; until then the one before goes on. The
//     second is the previous. Others are removed. An empty announcement changes nothing.
//  4. At most MaxModelSize bytes and no more than announced are taken of a version.
//  5. A download that breaks goes on where it broke, after a pause.
package artifact
