package wal

// recordKind describes the records whose keys begin with one prefix.
type recordKind struct {
	name  string // in reports
	size  int    // of a key in bytes, or one of the values below
	large bool   // a value may be in a blob file
	check func(c *checker, key, value []byte) error
}

// The sizes of keys that are not all of one length.
const (
	prefixIDAndMore = 0
	prefixAndMore   = -1
)

// hasSize reports whether a key has a length that keys of this kind may have.
func (k *recordKind) hasSize(key []byte) bool {
	switch k.size {
	case prefixIDAndMore:
		return len(key) > 1+idSize
	case prefixAndMore:
		return len(key) > 1
	default:
		return len(key) == k.size
	}
}

// recordKinds are all kinds of records, by prefix. doc.go says what they contain.
var recordKinds [256]recordKind

func init() { // the checks refer to the sizes, so it can't be a composite literal
	recordKinds = [256]recordKind{
		keyMeta:        {"meta", 1, false, pure(func(*checker, []byte, []byte) {})}, // loadMeta has checked it
		keyApplication: {"applications", 1 + idSize, true, pure((*checker).checkApplication)},
		keyEndpoint:    {"endpoints", 1 + 2*idSize, true, pure((*checker).checkEndpoint)},
		keyEventType:   {"event types", prefixAndMore, true, pure((*checker).checkEventType)},
		keySettings:    {"settings", 1, true, pure((*checker).checkSettings)},
		keyAPIKey:      {"API keys", 1 + idSize, true, pure((*checker).checkAPIKey)},

		keyLog:     {"log chunks", 1 + idSize + entrySize, true, (*checker).checkMessages},
		keyUnique:  {"event ids", prefixIDAndMore, false, pure((*checker).checkEventID)},
		keyExpiry:  {"messages by expiry", 2 + 8 + 2*idSize, false, (*checker).checkExpiry},
		keyHistory: {"history chunks", 1 + idSize + entrySize, true, pure((*checker).checkHistory)},
		keyIndex:   {"index of attempts", 1 + 2*idSize, false, (*checker).checkIndex},
		keyCounts:  {"tallies", tallyKeySize, false, pure((*checker).checkTally)},
		keyRecent:  {"tallies of recent attempts", 1 + idSize, false, pure((*checker).checkRecent)},
		keyChange:  {"changes of state", changeKeySize, true, pure((*checker).checkChanges)},
		keyShare:   {"shares", 1 + idSize, false, pure((*checker).checkShare)},
		keyFront:   {"fronts of logs", 1 + idSize, false, pure((*checker).checkFront)},

		keyCursor:  {"cursors", 1 + idSize, true, (*checker).checkCursor},
		keyRetry:   {"retries", 1 + 2*idSize + 8, false, (*checker).checkRetry},
		keyPlanned: {"retries by message", 1 + 2*idSize, false, (*checker).checkPlanned},
		keyHeld:    {"held messages", 1 + 2*idSize + 8, false, (*checker).checkHeld},
		keyManual:  {"manual requests", 1 + 2*idSize, false, (*checker).checkManual},
		keyTask:    {"tasks", 1 + idSize, true, pure((*checker).checkTask)},

		keyRemoved:    {"endpoints being removed", 1 + idSize, false, (*checker).checkRemoved},
		keyRemovedApp: {"applications being removed", 1 + idSize, false, (*checker).checkRemovedApp},
		keyDropped:    {"messages whose attempts are being removed", 1 + idSize, false, (*checker).checkDropped},

		keyRequests:  {"requests", 1 + 8, true, pure((*checker).checkRequests)},
		keyOvertaker: {"repetitions applied", 1 + 8 + 16, false, (*checker).checkOvertaker},
		keyReply:     {"idempotency keys", 1 + replyNameSize, true, pure((*checker).checkReply)},
		keyAging:     {"idempotency keys by age", 1 + entrySize, true, (*checker).checkAging},
	}
}

// pure is for checks that read no other records and so can't fail.
func pure(check func(c *checker, key, value []byte)) func(*checker, []byte, []byte) error {
	return func(c *checker, key, value []byte) error {
		check(c, key, value)
		return nil
	}
}
