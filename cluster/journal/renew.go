package journal

// Renew seals the current file and goes on in a new one. It removes the spare files, and has those
// that are in use now removed, too, once their entries are, instead of used again. So what a file
// held, in its unused part too, is gone when all entries from before the call are removed. It
// returns the last of these, 0 if there is none, and false if it could not begin a new file: the
// disk is full.
func (j *Journal) Renew() (last uint64, done bool, err error) {
	j.pool.renew()
	next, err := j.renewNext()
	for err == nil && next != nil {
		<-next.done // not with writing held: removing files and filling one may take long
		last, done, next, err = j.beginNew()
	}
	return last, done, err
}

// renewNext has the next segment made of a new file.
func (j *Journal) renewNext() (*preparation, error) {
	j.awaitNext()
	j.writing.Lock()
	defer j.writing.Unlock()
	if j.failed != nil {
		return nil, j.failed
	}
	if j.next != nil {
		if <-j.next.done; j.next.segment == nil {
			j.next = nil
		} else if old, err := j.pool.putOld(j.next.segment); err != nil {
			return nil, j.fail(err)
		} else if old {
			j.next = nil
		}
	}
	j.prepare()
	return j.next, nil
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

// beginNew goes on in the new file. If a batch needed that meanwhile, it returns the one after it,
// which is being prepared.
func (j *Journal) beginNew() (last uint64, done bool, next *preparation, err error) {
	j.writing.Lock()
	defer j.writing.Unlock()
	if j.failed != nil {
		return 0, false, nil, j.failed
	}
	select {
	case <-j.next.done:
	default:
		return 0, false, j.next, nil
	}
	if j.next.segment == nil { // it does not matter until something is to be written
		return 0, false, nil, nil
	}
	_, last = j.index.bounds()
	return last, true, nil, j.fail(j.rotate(batchHeaderSize))
}
