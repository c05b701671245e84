package wal

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"hookwheel/systemtest/memdir"
	"hookwheel/wal/badgerfiles"
	"hookwheel/wal/blobfiles"
	"hookwheel/webhook"
)

// A store in good health has nothing to say; each damage is found, and told in words.
func TestCheckFindsDamage(t *testing.T) {
	foreign := idAt(3, 77)
	one := []byte{1}
	made := func(attempts uint32) []byte { return encodeRetry(&webhook.Retry{Made: attempts, Spent: attempts}) }
	tests := map[string]struct {
		damage func(*patient)
		want   string
	}{
		"nothing":               {func(p *patient) {}, ""},
		"no meta":               {func(p *patient) { p.remove(metaKey) }, "but no applied index"},
		"damaged meta":          {func(p *patient) { p.set(metaKey, one) }, "the record with the applied index can't be read"},
		"no term":               {func(p *patient) { p.changeMeta(func(m *meta) { m.term = 0 }) }, "of term 0, which is impossible"},
		"applied index too low": {func(p *patient) { p.changeMeta(func(m *meta) { m.index = 5 }) }, "but the store is at entry 5"},
		"clock too low":         {func(p *patient) { p.changeMeta(func(m *meta) { m.clock = testClock - 1 }) }, "but the log's clock is at"},
		"share miscounted":      {func(p *patient) { p.set(shareKey(p.app), encodeShare(7)) }, "but the store counts 7"},
		"share lost":            {func(p *patient) { p.remove(shareKey(p.app)) }, "but the store counts none"},
		"front too late":        {func(p *patient) { p.set(frontKey(p.app), (&front{first: foreign}).encode()) }, "from before its recorded front"},
		"aged too far":          {func(p *patient) { p.set(frontKey(p.app), (&front{aged: foreign}).encode()) }, "retention has passed it"},
		"front of nobody":       {func(p *patient) { p.set(frontKey(foreign), (&front{first: foreign}).encode()) }, "is recorded, which does not exist"},
		"front of nothing":      {func(p *patient) { p.set(frontKey(p.app), (&front{}).encode()) }, "is recorded as its beginning"},
		"front cut":             {func(p *patient) { p.set(frontKey(p.app), one) }, "can't be read"},
		"expiry overlooked":     {func(p *patient) { p.changeMeta(func(m *meta) { m.expiries[expiryOwn] = 1 << 42 }) }, "is overlooked"},
		"expiries ahead":        {func(p *patient) { p.changeMeta(func(m *meta) { m.expiries[expiryDelayed] = m.clock + 1 }) }, "messages have expired up to"},
		"share of nobody":       {func(p *patient) { p.set(shareKey(foreign), encodeShare(7)) }, "take 0 bytes, but the store counts 7"},
		"share of nothing":      {func(p *patient) { p.set(shareKey(foreign), encodeShare(0)) }, "is recorded as zero"},
		"share in odd form":     {func(p *patient) { p.set(shareKey(foreign), []byte{1, 0x87, 0}) }, "not encoded in the shortest form"},
		"damaged share":         {func(p *patient) { p.set(shareKey(p.app), []byte{1}) }, "can't be read"},
		"share key cut":         {func(p *patient) { p.set(shareKey(p.app)[:5], encodeShare(7)) }, "invalid key length of 5 bytes"},
		"bytes miscounted":      {func(p *patient) { p.changeMeta(func(m *meta) { m.bytes++ }) }, "bytes, but the store counts"},
		"left in the future":    {func(p *patient) { p.changeMeta(func(m *meta) { m.left = m.clock + 1 }) }, "has left the log, but the log's clock"},
		"configuration ahead":   {func(p *patient) { p.changeMeta(func(m *meta) { m.confIndex = 1 << 40 }) }, "the cluster's configuration comes from entry"},
		"configuration lost":    {func(p *patient) { p.changeMeta(func(m *meta) { m.conf = nil }) }, "and has 0 bytes"},
		"unknown prefix":        {func(p *patient) { p.set([]byte("Zebra"), one) }, "has an unknown kind"},
		"odd key":               {func(p *patient) { p.set([]byte("Cursor"), one) }, "invalid key length of 6 bytes"},

		"odd note of a message": {func(p *patient) { p.set(droppedKey(p.messages[0]), one) }, "the record of the attempts left of message msg"},
		"note names no app":     {func(p *patient) { p.set(droppedKey(p.messages[0]), (&droppedMessage{app: p.endpoint}).encode()) }, "which does not exist"},
		"note of no attempts":   {func(p *patient) { p.set(droppedKey(p.app), (&droppedMessage{app: p.app}).encode()) }, "but no attempts are left"},
		"value in no file":      {func(p *patient) { p.refer(requestsKey(p.index-1), blobfiles.Ref{File: 9, Size: 100}) }, "has no value"},

		"no application":        {func(p *patient) { p.remove(idKey(keyApplication, p.app)) }, "which does not exist"},
		"damaged application":   {func(p *patient) { p.set(idKey(keyApplication, p.app), one) }, "(applications) can't be read"},
		"misplaced application": {func(p *patient) { p.set(idKey(keyApplication, p.idle), p.get(idKey(keyApplication, p.app))) }, "is stored under the id"},
		"twice the same app uid": {func(p *patient) {
			p.set(idKey(keyApplication, p.idle), p.json(webhook.Application{ID: p.idle, UID: "acme"}))
		}, `has the same uid "acme" as`},
		"id of no sum": {func(p *patient) { id := p.idle; id[19]++; p.set(idKey(keyRemoved, id), nil) }, "wrong check digits"},

		"app changed in the future": {func(p *patient) {
			p.set(idKey(keyApplication, p.app), p.json(webhook.Application{ID: p.app, UID: "acme", Revision: 1 << 40}))
		}, "was last changed by entry 1099511627776"},
		"removed app and there":    {func(p *patient) { p.set(idKey(keyRemovedApp, p.app), nil) }, "is being removed but still exists"},
		"app removal with content": {func(p *patient) { p.set(idKey(keyRemovedApp, p.goneApp), one) }, "can't be read"},
		"app removal too far": {func(p *patient) {
			p.set(idKey(keyRemovedApp, p.goneApp), (&removedApp{after: chunkKey(keyLog, p.goneApp, foreign)}).encode())
		}, "is past a record that is left"},
		"removal too far": {func(p *patient) {
			p.set(idKey(keyRemoved, p.removed), (&removal{after: retryKey(p.removed, p.due.Add(time.Hour), foreign)}).encode())
		}, "is past a record that is left"},
		"note too far": {func(p *patient) {
			p.set(droppedKey(p.messages[0]), (&droppedMessage{app: p.app, after: foreign}).encode())
		}, "is past a record that is left"},
		"app removal is forgotten": {func(p *patient) { p.remove(idKey(keyRemovedApp, p.goneApp)) }, "which does not exist"},
		"damaged event type":       {func(p *patient) { p.set(nameKey(keyEventType, "a"), one) }, `the event type "a" can't be read`},
		"misplaced event type":     {func(p *patient) { p.set(nameKey(keyEventType, "b"), p.get(nameKey(keyEventType, "a"))) }, `is stored under the name "b"`},
		"event type of no entry":   {func(p *patient) { p.set(nameKey(keyEventType, "a"), p.json(webhook.EventType{Name: "a"})) }, "was last changed by entry 0"},
		"event type of no name":    {func(p *patient) { p.set([]byte{keyEventType}, nil) }, "invalid key length of 1 bytes"},
		"filters of the future": {func(p *patient) {
			p.changeEndpoint(func(e *webhook.Endpoint) { e.FilterSince = idAt(1<<40, 0) })
		}, "but the store is at entry"},
		"endpoint changed in the future": {func(p *patient) {
			p.changeEndpoint(func(e *webhook.Endpoint) { e.Revision = 1 << 40 })
		}, "was last changed by entry 1099511627776"},

		"expiry of nothing":       {func(p *patient) { p.set(expiryLine(expiryOwn, 5, p.app, foreign), nil) }, "is missing from the log of"},
		"expiry that is not said": {func(p *patient) { p.set(expiryLine(expiryOwn, 5, p.app, p.messages[0]), nil) }, "does not match the message's retention"},
		"expiry with content":     {func(p *patient) { p.set(expiryLine(expiryOwn, 5, p.app, p.messages[0]), one) }, "has 1 bytes"},
		"expiry forgotten": {func(p *patient) {
			p.changeLog(p.messages[0], func(list []webhook.Message) []webhook.Message { list[0].Retention = time.Hour; return list })
		}, "but 2 are listed by expiry"},
		"damaged tally":      {func(p *patient) { p.set(tallyKey(OneHour, AttemptsAt(p.endpoint), testHour), one) }, "can't be read"},
		"empty tally":        {func(p *patient) { p.set(tallyKey(OneHour, AttemptsAt(p.endpoint), testHour), []byte{tallyVersion}) }, "can't be read"},
		"tally of no period": {func(p *patient) { p.set(tallyKey(9, AttemptsAt(p.endpoint), testHour), encodeTally(&goldenTally)) }, "has an invalid key"},
		"tally of no scope": {func(p *patient) {
			p.set(tallyKey(OneHour, TallyOwner{9, p.endpoint}, testHour), encodeTally(&goldenTally))
		}, "has an invalid key"},
		"tally of all of one": {func(p *patient) {
			p.set(tallyKey(OneHour, TallyOwner{scopeAll, p.endpoint}, testHour), encodeTally(&goldenTally))
		}, "has an invalid key"},
		"tally of tomorrow": {func(p *patient) {
			p.set(tallyKey(OneDay, AttemptsAt(p.endpoint), uint64(testClock/day)+1), encodeTally(&goldenTally))
		}, "is in the future"},
		"tally of more":      {func(p *patient) { p.set(tallyKey(OneHour, AttemptsAt(foreign), testHour), encodeTally(&goldenTally)) }, "the tallies of scope 2 and period 1 count"},
		"tally that is lost": {func(p *patient) { p.remove(tallyKey(OneHour, AttemptsOf(p.app), testHour)) }, "the tallies of scope 1 and period 1 count"},
		"tally of all lost":  {func(p *patient) { p.remove(tallyKey(OneDay, AllAttempts, testHour/24)) }, "the tallies of scope 1 and period 2 count"},
		"tally not counted":  {func(p *patient) { p.set(tallyKey(OneHour, AttemptsAt(foreign), testHour), encodeTally(&goldenTally)) }, "the tallies of period 1 and scope 2 take"},
		"recent damaged":     {func(p *patient) { p.set(recentKey(p.app), one) }, "can't be read"},
		"recent of nobody":   {func(p *patient) { p.set(recentKey(foreign), encodeRecent(new(recent))) }, "it does not exist"},
		"recent of tomorrow": {func(p *patient) {
			p.set(recentKey(p.app), encodeRecent(&recent{start: uint64((testClock + day) / (5 * minute))}))
		}, "are in the future"},
		"recent lost":              {func(p *patient) { p.remove(recentKey(p.app)) }, "the tallies of scope 1 and period 0 count"},
		"recent of cursor damaged": {func(p *patient) { p.changeCursor(func(c *cursor) { c.counts.recent.data = one }) }, "the counts of recent attempts of endpoint"},
		"recent of cursor lost":    {func(p *patient) { p.changeCursor(func(c *cursor) { c.counts.recent = recent{} }) }, "the tallies of scope 2 and period 0 count"},
		"damaged settings":         {func(p *patient) { p.set([]byte{keySettings}, one) }, "the settings are invalid"},
		"settings with markup":     {func(p *patient) { p.set([]byte{keySettings}, p.json(webhook.Settings{Font: "<b>"})) }, "the settings are invalid"},
		"settings of the future":   {func(p *patient) { p.set([]byte{keySettings}, p.json(webhook.Settings{Revision: 1 << 40})) }, "the record of the settings was last changed by entry"},

		"damaged endpoint":   {func(p *patient) { p.set(idKey(keyEndpoint, p.app, p.endpoint), one) }, "(endpoints) can't be read"},
		"misplaced endpoint": {func(p *patient) { p.changeEndpoint(func(e *webhook.Endpoint) { e.App = p.idle }) }, "is stored under the ids"},
		"twice the same uid": {func(p *patient) { p.changeEndpoint(func(e *webhook.Endpoint) { e.UID = "c" }) }, `has the same uid "c" as`},
		"endpoint without app": {func(p *patient) {
			p.set(idKey(keyEndpoint, foreign, foreign), p.json(webhook.Endpoint{ID: foreign, App: foreign}))
		}, "which does not exist"},
		"endpoint before app": {func(p *patient) {
			id := webhook.NewID(testClock-9000, 1, 0)
			p.set(idKey(keyEndpoint, p.app, id), p.json(webhook.Endpoint{ID: id, App: p.app}))
		}, "is older than its application"},
		"no cursor":        {func(p *patient) { p.remove(idKey(keyCursor, p.endpoint)) }, "has no cursor"},
		"cursor of nobody": {func(p *patient) { p.set(idKey(keyCursor, foreign), (&cursor{position: foreign}).encode()) }, "exists, but the endpoint does not"},
		"damaged cursor":   {func(p *patient) { p.set(idKey(keyCursor, p.endpoint), []byte{1, 2}) }, "(cursors) can't be read"},
		"cursor too early": {func(p *patient) { p.changeCursor(func(c *cursor) { c.position = p.app }) }, "before the endpoint was created"},
		"cursor too late": {func(p *patient) {
			p.changeCursor(func(c *cursor) { c.position = webhook.NewID(testClock+9000, p.index, 9) })
		}, "after the end of the log"},
		"cursor jumped":          {func(p *patient) { p.changeCursor(func(c *cursor) { c.position = p.messages[5] }) }, "which the endpoint wants, without any attempt"},
		"done out of order":      {func(p *patient) { p.changeCursor(func(c *cursor) { slices.Reverse(c.done) }) }, "in the wrong order"},
		"done behind":            {func(p *patient) { p.changeCursor(func(c *cursor) { c.done[0] = p.messages[0] }) }, "but is already past it"},
		"done of nothing":        {func(p *patient) { p.changeCursor(func(c *cursor) { c.done = append(c.done, idAt(p.index, 1)) }) }, "as done, which is missing from the log"},
		"done without attempt":   {func(p *patient) { p.changeCursor(func(c *cursor) { c.settle(p.messages[7]) }) }, "without any attempt"},
		"removed and there":      {func(p *patient) { p.set(idKey(keyRemoved, p.idle), nil) }, "is being removed but still exists"},
		"removal with content":   {func(p *patient) { p.set(idKey(keyRemoved, p.removed), one) }, "can't be read"},
		"removal is forgotten":   {func(p *patient) { p.remove(idKey(keyRemoved, p.removed)) }, "does not exist and is not being removed"},
		"line of nobody":         {func(p *patient) { p.set(retryKey(foreign, p.due, p.messages[0]), made(1)) }, "does not exist and is not being removed"},
		"line of no message":     {func(p *patient) { p.set(retryKey(p.endpoint, p.due, idAt(p.index, 1)), made(1)) }, "names a message that is missing from the log"},
		"line ahead of cursor":   {func(p *patient) { p.set(p.line(7), made(1)) }, "has not reached"},
		"line without attempts":  {func(p *patient) { p.set(p.line(0), []byte{0}) }, "has an invalid number of attempts"},
		"line with a tail":       {func(p *patient) { p.set(p.line(0), append(made(2), 2)) }, "has an invalid number of attempts"},
		"lines miscounted":       {func(p *patient) { p.changeCursor(func(c *cursor) { c.counts.waiting = 7 }) }, "counts 7 lines in its retry set, but it has 1"},
		"held under another key": {func(p *patient) { p.set(heldKey(p.endpoint, 5, p.messages[8]), nil) }, "but the message has the ordering key 0"},
		"held of nobody":         {func(p *patient) { p.set(heldKey(foreign, 0, p.messages[8]), nil) }, "does not exist and is not being removed"},
		"manual of no message": {func(p *patient) {
			p.set(idKey(keyManual, p.endpoint, idAt(p.index, 1)), encodeManual(&webhook.Manual{Number: 1}))
		}, "in the manual set of endpoint"},
		"manual damaged":       {func(p *patient) { p.set(idKey(keyManual, p.endpoint, p.messages[1]), one) }, "can't be read"},
		"line of other number": {func(p *patient) { p.set(p.line(0), made(3)) }, "counts 3 attempts, but the last recorded one has number 2"},
		"line not noted":       {func(p *patient) { p.remove(plannedKey(p.messages[0], p.endpoint)) }, "is missing from the index of planned attempts"},
		"line noted otherwise": {func(p *patient) {
			p.set(plannedKey(p.messages[0], p.endpoint), encodePlanned(p.due.Add(time.Second)))
		}, "with a different time"},
		"note of no line":    {func(p *patient) { p.set(plannedKey(p.messages[1], p.endpoint), encodePlanned(p.due)) }, "does not match a line of the retry set"},
		"note damaged":       {func(p *patient) { p.set(plannedKey(p.messages[0], p.endpoint), one) }, "can't be read"},
		"second line":        {func(p *patient) { p.set(retryKey(p.endpoint, p.due.Add(-time.Second), p.messages[0]), made(2)) }, "does not match the last attempt"},
		"line after success": {func(p *patient) { p.set(p.line(1), made(1)) }, "does not match the last attempt"},
		"line at another time": {func(p *patient) {
			p.remove(p.line(0))
			p.set(retryKey(p.endpoint, p.due.Add(1e6), p.messages[0]), made(2))
		}, "does not match the last attempt"},
		"two lines by repetition": {func(p *patient) {
			p.changeHistory(p.attempts[1], func(list []webhook.Attempt) []webhook.Attempt {
				other := list[0]
				other.ID, other.Next = webhook.NewID(other.ID.Millis(), other.ID.Index(), other.ID.Place()+1), p.due.Add(time.Second)
				p.set(idKey(keyIndex, other.Message, other.ID), p.endpoint[:])
				return append(list, other)
			})
			p.set(retryKey(p.endpoint, p.due.Add(time.Second), p.messages[0]), made(2))
		}, "is a duplicate"},

		"damaged log": {func(p *patient) { key := chunkKey(keyLog, p.app, p.messages[0]); p.set(key, p.get(key)[:9]) }, "the part of the log of"},
		"lost log":    {func(p *patient) { p.remove(chunkKey(keyLog, p.app, p.messages[0])) }, "which is missing from the log of"},
		"log of nobody": {func(p *patient) {
			p.set(chunkKey(keyLog, p.idle, p.messages[9]), p.get(chunkKey(keyLog, p.app, p.messages[9])))
		}, "there is a log of the unknown application"},
		"log out of order": {func(p *patient) {
			p.changeLog(p.messages[0], func(m []webhook.Message) []webhook.Message { slices.Reverse(m); return m })
		}, "is in the log of application"},
		"log before its app": {func(p *patient) {
			p.set(chunkKey(keyLog, p.app, webhook.NewID(testClock-9000, 1, 0)), p.get(chunkKey(keyLog, p.app, p.messages[9])))
		}, "is older than its application"},
		"entries out of order": {func(p *patient) {
			p.set(chunkKey(keyLog, p.app, webhook.NewID(p.messages[9].Millis()-4, p.index, 0)), p.get(chunkKey(keyLog, p.app, p.messages[9])))
		}, "after a message of a later entry"},
		"no event id":         {func(p *patient) { p.remove(uniqueKey(p.app, "a-event")) }, "so it could be used again"},
		"event id of another": {func(p *patient) { p.set(uniqueKey(p.app, "a-event"), p.messages[1][:]) }, "recorded for another message"},
		"event id of nothing": {func(p *patient) { p.set(uniqueKey(p.app, "loose"), foreign[:]) }, `"loose" is recorded for message`},
		"event id of a wrong": {func(p *patient) { p.set(uniqueKey(p.app, "wrong"), p.messages[0][:]) }, `"wrong" is recorded for message`},
		"event id of no id":   {func(p *patient) { p.set(uniqueKey(p.app, "odd"), one) }, "an invalid message id"},
		"damaged history":     {func(p *patient) { key := chunkKey(keyHistory, p.endpoint, p.attempts[0]); p.set(key, p.get(key)[:9]) }, "the part of the history of"},
		"lost history":        {func(p *patient) { p.remove(chunkKey(keyHistory, p.endpoint, p.attempts[1])) }, "which is missing from the history of"},
		"history out of order": {func(p *patient) {
			p.changeHistory(p.attempts[0], func(a []webhook.Attempt) []webhook.Attempt { slices.Reverse(a); return a })
		}, "is in the history of"},
		"attempt number 0": {func(p *patient) {
			p.changeHistory(p.attempts[0], func(a []webhook.Attempt) []webhook.Attempt { a[0].Number = 0; return a })
		}, "has the number 0"},
		"gap in the numbers": {func(p *patient) {
			p.changeHistory(p.attempts[1], func(a []webhook.Attempt) []webhook.Attempt { a[0].Number = 3; return a })
		}, "has the number 3, but the one before it has number 1"},
		"no first attempt": {func(p *patient) {
			p.changeHistory(p.attempts[0], func(a []webhook.Attempt) []webhook.Attempt { a[1].Number = 2; return a })
		}, "has the number 2, but the one before it has number 0"},
		"attempt before event": {func(p *patient) {
			p.changeHistory(p.attempts[0], func(a []webhook.Attempt) []webhook.Attempt { a[0].Message = idAt(p.index, 1); return a })
		}, "is older than its message"},
		"attempt of another": {func(p *patient) {
			p.changeHistory(p.attempts[0], func(a []webhook.Attempt) []webhook.Attempt { a[0].Message = p.messages[9]; return a })
		}, "but it belongs to message"},
		"attempt not indexed": {func(p *patient) { p.remove(idKey(keyIndex, p.messages[0], p.attempts[0])) }, "is not in the index"},
		"index of nothing": {func(p *patient) {
			id := webhook.NewID(testClock, p.index, 9)
			p.set(idKey(keyIndex, p.messages[0], id), p.endpoint[:])
		}, "which is missing from the history of"},
		"index with odd value":  {func(p *patient) { p.set(idKey(keyIndex, p.messages[0], p.attempts[0]), one) }, "has an invalid endpoint id"},
		"attempt of no message": {func(p *patient) { p.remove(chunkKey(keyLog, p.app, p.messages[0])) }, "has attempts at endpoint"},

		"damaged API key":       {func(p *patient) { p.set(idKey(keyAPIKey, p.key), one) }, "can't be read"},
		"misplaced API key":     {func(p *patient) { p.set(idKey(keyAPIKey, p.idle), p.get(idKey(keyAPIKey, p.key))) }, "is stored under the id"},
		"API key from tomorrow": {func(p *patient) { p.set(idKey(keyAPIKey, idAt(1<<40, 0)), p.get(idKey(keyAPIKey, p.key))) }, "comes from entry"},
		"API key without hash":  {func(p *patient) { p.changeKey(func(k *webhook.APIKey) { k.Hash = one }) }, "has a token hash of 1 bytes"},
		"API key of no role":    {func(p *patient) { p.changeKey(func(k *webhook.APIKey) { k.Role = "king" }) }, "is invalid: role"},
		"role without app":      {func(p *patient) { p.changeKey(func(k *webhook.APIKey) { k.App = webhook.ID{} }) }, "is invalid: app"},
		"API key of lost app":   {func(p *patient) { p.changeKey(func(k *webhook.APIKey) { k.App = foreign }) }, "which does not exist"},

		"damaged answer":         {func(p *patient) { p.set(replyKey(patientReply), one) }, "the reply kept for idempotency key 0708"},
		"lost answer":            {func(p *patient) { p.remove(replyKey(patientReply)) }, "which has no reply"},
		"answer in no list":      {func(p *patient) { p.remove(p.aging()) }, "but does not list it"},
		"answer before its list": {func(p *patient) { p.set(replyKey(patientReply), encodeKeptReply(&keptReply{entry: p.app})) }, "replied to"},
		"answer after its list": {func(p *patient) {
			p.set(replyKey(patientReply), encodeKeptReply(&keptReply{entry: webhook.NewID(testClock+9000, p.index, 0)}))
		}, "but does not list it"},
		"short idempotency key": {func(p *patient) { p.set(replyKey(patientReply[:9]), encodeKeptReply(&keptReply{entry: p.app})) }, "invalid key length of 10 bytes"},
		"list cut short":        {func(p *patient) { p.set(p.aging(), p.get(p.aging())[:9]) }, "the idempotency keys of entry"},
		"list empty":            {func(p *patient) { p.set(p.aging(), one) }, "the idempotency keys of entry"},
		"list says it twice":    {func(p *patient) { p.set(p.aging(), append(p.get(p.aging()), patientReply...)) }, "twice"},
		"list from the future":  {func(p *patient) { p.set(agingKey(webhook.NewID(testClock, 1<<40, 0)), p.get(p.aging())) }, "the list of idempotency keys of entry 1099511627776"},

		"damaged changes": {func(p *patient) { p.set(changeKey(p.endpoint, maker{makerCluster, p.app}), one) }, "a change of state that entry"},
		"changes elsewhere": {func(p *patient) {
			p.set(changeKey(p.endpoint, maker{makerCluster, p.app}), p.get(changeKey(p.idle, maker{makerCluster, p.app})))
		}, "does not match its id"},
		"changes of another": {func(p *patient) {
			p.set(changeKey(p.endpoint, maker{makerCustomer, p.app}), p.get(changeKey(p.endpoint, maker{makerCluster, p.app})))
		}, "does not match its id and its maker"},
		"changes of no class": {func(p *patient) {
			p.set(changeKey(p.endpoint, maker{makerClasses, p.app}), p.get(changeKey(p.endpoint, maker{makerCluster, p.app})))
		}, "can't be read"},
		"changes miscounted": {func(p *patient) {
			p.set(changeKey(p.endpoint, maker{makerCluster, p.app}), (&changeRecord{count: 7, list: p.get(changeKey(p.endpoint, maker{makerCluster, p.app}))[1+8+1:]}).encode())
		}, "a change of state that entry"},
		"damaged task":          {func(p *patient) { p.set(idKey(keyTask, p.task), []byte{1, 2}) }, "can't be read"},
		"task of another name":  {func(p *patient) { p.changeTask(func(t *webhook.Task) { t.ID = p.app }) }, "has the id of"},
		"task of odd status":    {func(p *patient) { p.changeTask(func(t *webhook.Task) { t.Status = "odd" }) }, "has the unknown status"},
		"task of no endpoint":   {func(p *patient) { p.changeTask(func(t *webhook.Task) { t.Endpoint = p.removed }) }, "is not finished, but its endpoint"},
		"task ended early":      {func(p *patient) { p.changeTask(func(t *webhook.Task) { t.Status = webhook.TaskFinished }) }, "has not read its whole range"},
		"task over, with lines": {func(p *patient) { p.changeTask(func(t *webhook.Task) { t.Status = webhook.TaskCanceled }) }, "which is finished or does not exist"},
		"task took too many":    {func(p *patient) { p.changeTask(func(t *webhook.Task) { t.Looked = 0 }) }, "has impossible counts"},
		"task counts wrongly":   {func(p *patient) { p.changeTask(func(t *webhook.Task) { t.Taken++ }) }, "counts 2 waiting messages, but there are 1"},
		"line of no task":       {func(p *patient) { p.remove(idKey(keyTask, p.task)) }, "which is finished or does not exist"},

		"damaged requests":     {func(p *patient) { p.set(requestsKey(1), []byte{1, 2}) }, "the requests of entry 1 can't be read"},
		"requests too new":     {func(p *patient) { p.set(requestsKey(1<<40), appendRequest(nil, [16]byte{1, 1}, okReply(nil))) }, "the requests of entry 1099511627776 are still kept"},
		"requests too old":     {func(p *patient) { p.changeMeta(func(m *meta) { m.index = 1 << 30 }) }, "the requests of entry 1 are still kept"},
		"odd reply":            {func(p *patient) { p.set(requestsKey(p.index), appendRequest(nil, [16]byte{1, 1}, []byte{9})) }, "is invalid: 09"},
		"request twice":        {func(p *patient) { p.set(requestsKey(p.index), p.get(requestsKey(p.index-1))) }, "was applied twice"},
		"repetition too old":   {func(p *patient) { p.changeMeta(func(m *meta) { m.index = 1 << 30 }) }, "the repetition of request ee01"},
		"repetition of no one": {func(p *patient) { p.set(overtakerKey(2, [16]byte{9}), nil) }, "which has no reply to it"},
		"repetition content":   {func(p *patient) { p.set(overtakerKey(p.index-1, p.overtaker), one) }, "has 1 bytes"},
	}
	well := newPatient(t)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := well.clone(t)
			p.operate(t)
			test.damage(p)
			if err := errors.Join(p.txn.CommitAt(p.index, nil), p.db.Close()); err != nil {
				t.Fatal(err)
			}
			report, err := Check(p.dir, CheckOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if test.want == "" && report.Err() == nil {
				return
			}
			if test.want == "" || !slices.ContainsFunc(report.Violations, func(v string) bool { return strings.Contains(v, test.want) }) {
				t.Errorf("want %q among:\n%s", test.want, strings.Join(report.Violations, "\n"))
			}
			for _, v := range report.Violations {
				if strings.Contains(v, "%!") {
					t.Errorf("badly put: %s", v)
				}
			}
		})
	}
}

func TestCheckFolders(t *testing.T) {
	p := newPatient(t)
	name, err := badgerfiles.CurrentName(p.dir)
	if err != nil {
		t.Fatal(err)
	}
	empty, broken := memdir.New(t), memdir.New(t)
	if err := os.WriteFile(filepath.Join(broken, badgerfiles.CurrentFile), []byte("db-1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]error{empty: ErrNoStore, broken: ErrNoStore, filepath.Join(p.dir, name): ErrNoStore} {
		if _, err := Check(dir, CheckOptions{}); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", dir, err, want)
		}
	}
	if entries, err := os.ReadDir(empty); err != nil || len(entries) > 0 {
		t.Errorf("the check made %v, %v", entries, err)
	}
	s := openTest(t, p.dir)
	if _, err := Check(p.dir, CheckOptions{}); !errors.Is(err, ErrInUse) {
		t.Errorf("of a store that is in use: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// However many violations there are, a report names a bounded number.
func TestReportIsBounded(t *testing.T) {
	p := newPatient(t)
	p.operate(t)
	tolerate(t, "")
	for i := range uint64(maxViolations + 50) {
		p.set(binary.BigEndian.AppendUint64([]byte{'Z'}, i), nil)
	}
	if err := errors.Join(p.txn.CommitAt(p.index, nil), p.db.Close()); err != nil {
		t.Fatal(err)
	}
	report, err := Check(p.dir, CheckOptions{})
	if err != nil || len(report.Violations) != maxViolations || report.Unnamed != 50 || report.Records["unknown"] != maxViolations+50 {
		t.Errorf("%d named, %d not, %v", len(report.Violations), report.Unnamed, err)
	}
	if err := report.Err(); err == nil || !strings.Contains(err.Error(), "150 of its invariants") {
		t.Error(err)
	}
}
