package journal

// Renew seals the current file and goes on in a new one. It removes the spare files, and has those
// that are in use now removed, too, once their entries are, instead of used again. So what a file
// held, in its unused part too, is gone when all entries from before the call are removed. It
// returns the last of these, 0 if there is none, and false if it could not begin a new file: the
// disk is full.
func (j *Journal) Renew() (last uint64, done bool, err error) {
	if err := j.renewFiles(); err != nil {
		return 0, false, err
	}
	j.awaitNext() // not with writing held: filling a file may take long
	return j.beginNew()
}

// renewFiles has a new file prepared.
func (j *Journal) renewFiles() error {
	j.awaitNext()
	j.writing.Lock()
	defer j.writing.Unlock()
	if j.failed != nil {
		return j.failed
	}
	if err := j.pool.renew(j.options.Budget()); err != nil {
		return j.fail(err)
	}
	if j.next != nil {
		if <-j.next.done; j.next.segment != nil {
			if err := j.pool.give([]*segment{j.next.segment}, j.options.Budget()); err != nil {
				return j.fail(err)
			}
		}
		j.next = nil
	}
	j.prepare()
	return nil
}

// awaitNext waits until the next segment is prepared, or can't be.
func (j *Journal) awaitNext() {
	j.writing.Lock()
	next := j.next
	j.writing.Unlock()
	if next != nil {
		<-next.done
	}
}

// beginNew goes on in the new file, or in the one after it, if a batch needed the former meanwhile.
func (j *Journal) beginNew() (last uint64, done bool, err error) {
	j.writing.Lock()
	defer j.writing.Unlock()
	if j.failed != nil {
		return 0, false, j.failed
	}
	if <-j.next.done; j.next.segment == nil { // it does not matter until something is to be written
		return 0, false, nil
	}
	_, last = j.index.bounds()
	return last, true, j.fail(j.rotate(batchHeaderSize))
}
