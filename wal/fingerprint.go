package wal

// Fingerprint is the newest sum over the whole state that this node has made, and the entry it is of; "": none yet.
func (s *Store) Fingerprint() (index uint64, sum string) { return 0, "" }
