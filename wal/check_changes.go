package wal

import (
	"bytes"
	"fmt"
)

// changeCheck checks changes of state.
type changeCheck struct {
	*checkedStore
	changes changes
}

// checkChanges checks the state changes that one maker made in one entry.
func (c *changeCheck) checkChanges(key, value []byte) {
	entry, by := parseChangeKey(key)
	what := fmt.Sprintf("a change of state that entry %d made", entry.Index())
	var record changeRecord
	list, err := decodeChanges(value)
	if err == nil {
		err = record.decode(value)
	}
	if err != nil || len(list) == 0 || uint64(len(list)) != record.count || by.class >= makerClasses {
		c.violated("%s can't be read: %v", what, err)
		return
	}
	c.changes.add(by, changePlace{entry, uint32(len(key) + len(value)), uint32(len(list))})
	for i := range list {
		change := &list[i]
		if !c.checkID(change.ID, what) {
			continue
		}
		if !bytes.Equal(changeKey(change.ID, makerOf(change)), key) || i > 0 && !change.ID.After(list[i-1].ID) {
			c.violated("%s is stored under a key that does not match its id and its maker", what)
		}
	}
}

// checkRoomOfChanges checks that no class of makers takes more than it may.
func (c *changeCheck) checkRoomOfChanges() {
	for class, bytes := range c.changes.bytes {
		if bytes > changesRoom {
			c.violated("the changes made by class %d take %d bytes, more than %d", class, bytes, changesRoom)
		}
	}
}
