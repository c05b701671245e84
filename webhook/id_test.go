package webhook

import (
	"bytes"
	"encoding/json"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	firstMilli = idEpoch * 1000                      // the first that an ID can hold
	lastMilli  = (idEpoch+math.MaxUint32)*1000 + 999 // the last, in the year 2150
	sample     = int64(1_780_000_000_123)            // some time in 2026
	exampleID  = "msg_2dPqK3WbX0iR9zVvGNw3T1oAJdc"   // has the form, but wrong check digits
	maxDigits  = "aWgEPTl1tmebfsQzFP4bxwgy80V"       // 2^160 - 1 in base62
	overDigits = "aWgEPTl1tmebfsQzFP4bxwgy80W"       // 2^160
)

var kinds = []Kind{KindApplication, KindEndpoint, KindMessage, KindAttempt}

// origin is what an ID is made from.
type origin struct {
	now   int64
	index uint64
	place uint32
}

func (o origin) id() ID { return NewID(o.now, o.index, o.place) }

// compare orders origins as the log does. Times are equal within 4 ms.
func (o origin) compare(other origin) int {
	a := []uint64{uint64(o.now / 4), o.index, uint64(o.place)}
	b := []uint64{uint64(other.now / 4), other.index, uint64(other.place)}
	return slices.Compare(a, b)
}

// randomOrigin often repeats a part, so that the parts behind it get to decide the order.
func randomOrigin(random *rand.Rand) origin {
	pick := func(n int64) int64 {
		if random.IntN(2) == 0 {
			return random.Int64N(3)
		}
		return random.Int64N(n)
	}
	return origin{
		now:   firstMilli + pick(lastMilli-firstMilli+1),
		index: uint64(pick(math.MaxInt64)) << random.IntN(2),
		place: uint32(pick(MaxPlace + 1)),
	}
}

func newRandom() *rand.Rand { return rand.New(rand.NewPCG(1, 2)) }

func TestIDHoldsItsOrigin(t *testing.T) {
	random := newRandom()
	origins := []origin{{firstMilli, 0, 0}, {lastMilli, math.MaxUint64, MaxPlace}, {sample, 1, 0}}
	for range 10_000 {
		origins = append(origins, randomOrigin(random))
	}
	for _, o := range origins {
		id := o.id()
		if id.Millis() != o.now/4*4 || id.Index() != o.index || id.Place() != o.place {
			t.Fatalf("%+v: got %d, %d, %d", o, id.Millis(), id.Index(), id.Place())
		}
		if !id.Time().Equal(time.UnixMilli(o.now / 4 * 4)) {
			t.Fatalf("%+v: Time is %s", o, id.Time())
		}
		if id.IsZero() {
			t.Fatalf("%+v: zero", o)
		}
	}
}

// The clock of a log without commands is 0: IDs from then sort before all later ones.
func TestIDBeforeAllClocks(t *testing.T) {
	if before, first := NewID(0, 3, MaxPlace), NewID(idEpoch*1000, 4, 0); !first.After(before) || before.Index() != 3 || before.IsZero() {
		t.Errorf("%v, %v", before, first)
	}
}

func TestIDText(t *testing.T) {
	random := newRandom()
	for range 10_000 {
		id := randomOrigin(random).id()
		for _, kind := range kinds {
			text := id.Text(kind)
			if len(text) != len(kind)+1+idLength {
				t.Fatalf("%q has %d characters", text, len(text))
			}
			if got, err := ParseID(kind, text); err != nil || got != id {
				t.Fatalf("%q came back as %x, %v; want %x", text, got, err, id)
			}
		}
	}
}

// Of another program's making: the example of github.com/segmentio/ksuid, whose text form ours is.
func TestIDDigitsAreThoseOfKSUID(t *testing.T) {
	want := ID{
		0x06, 0x69, 0xf7, 0xef, 0xb5, 0xa1, 0xcd, 0x34, 0xb5, 0xf9,
		0x9d, 0x11, 0x54, 0xfb, 0x68, 0x53, 0x34, 0x5c, 0x97, 0x35,
	}
	var id ID
	if err := id.UnmarshalText([]byte("0ujtsYcgvSTl8PAuAdqWYSMnLOv")); err != nil || id != want {
		t.Fatalf("got %x, %v; want %x", id, err, want)
	}
	if id.Time() != time.Date(2017, 10, 10, 4, 0, 47, int(want[4])*4e6, time.UTC) {
		t.Fatalf("Time is %s", id.Time())
	}
}

func TestIDOrder(t *testing.T) {
	random := newRandom()
	for range 20_000 {
		a, b := randomOrigin(random), randomOrigin(random)
		want := a.compare(b)
		x, y := a.id(), b.id()
		if got := bytes.Compare(x[:], y[:]); got != want {
			t.Fatalf("%+v and %+v: bytes compare as %d, want %d", a, b, got, want)
		}
		if got := strings.Compare(x.Text(KindMessage), y.Text(KindMessage)); got != want {
			t.Fatalf("%+v and %+v: texts compare as %d, want %d", a, b, got, want)
		}
		if x.Compare(y) != want || y.Compare(x) != -want {
			t.Fatalf("%+v and %+v: Compare gives %d and %d, want %d", a, b, x.Compare(y), y.Compare(x), want)
		}
		if x.After(y) != (want > 0) || x.After(x) {
			t.Fatalf("%+v and %+v: After is wrong", a, b)
		}
	}
	if first := NewID(firstMilli, 0, 0); !first.After(ID{}) || !(ID{}).IsZero() {
		t.Fatal("the zero ID does not sort before the first")
	}
}

func TestParseIDRefuses(t *testing.T) {
	good := NewID(sample, 7, 3).Text(KindMessage)
	digits := strings.TrimPrefix(good, "msg_")
	tests := map[string]struct {
		text string
		want error
	}{
		"nothing":             {"", errIDForm},
		"prefix only":         {"msg_", errIDForm},
		"no prefix":           {digits, errIDForm},
		"other prefix":        {"ep_" + digits, errIDForm},
		"no underscore":       {"msg" + digits, errIDForm},
		"upper-case prefix":   {"MSG_" + digits, errIDForm},
		"one too few":         {good[:len(good)-1], errIDForm},
		"one too many":        {good + "0", errIDForm},
		"space behind":        {good + " ", errIDForm},
		"space before":        {" " + good, errIDForm},
		"not a letter":        {"msg_" + digits[:26] + "-", errIDForm},
		"zero byte":           {"msg_" + digits[:26] + "\x00", errIDForm},
		"27 bytes, not ASCII": {"msg_" + digits[:25] + "é", errIDForm},
		"27 z":                {"msg_" + strings.Repeat("z", idLength), errIDForm},
		"2^160":               {"msg_" + overDigits, errIDForm},
		"2^160 - 1":           {"msg_" + maxDigits, errIDSum},
		"the zero ID":         {"msg_" + strings.Repeat("0", idLength), errIDSum},
		"wrong check digits":  {exampleID, errIDSum},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			id, err := ParseID(KindMessage, test.text)
			if err != test.want || !id.IsZero() {
				t.Errorf("got %x, %v; want %v", id, err, test.want)
			}
		})
	}
}

func TestParseIDRefusesOneFlippedCharacter(t *testing.T) {
	random := newRandom()
	for range 50 {
		text := randomOrigin(random).id().Text(KindMessage)
		for i := len("msg_"); i < len(text); i++ {
			for _, letter := range []byte(idLetters) {
				flipped := text[:i] + string(letter) + text[i+1:]
				if _, err := ParseID(KindMessage, flipped); err == nil && flipped != text {
					t.Fatalf("%s was accepted for %s", flipped, text)
				}
			}
		}
	}
}

func TestIDInJSON(t *testing.T) {
	type record struct {
		ID   ID            `json:"id"`
		None ID            `json:"none"`
		Map  map[ID]string `json:"map"`
	}
	id := NewID(sample, 7, 3)
	want := record{ID: id, Map: map[ID]string{id: "value"}}
	text, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	digits := strings.TrimPrefix(id.Text(KindMessage), "msg_")
	zero := strings.Repeat("0", idLength)
	if expected := `{"id":"` + digits + `","none":"` + zero + `","map":{"` + digits + `":"value"}}`; string(text) != expected {
		t.Fatalf("got %s, want %s", text, expected)
	}
	var got record
	if err := json.Unmarshal(text, &got); err != nil || got.ID != id || !got.None.IsZero() || got.Map[id] != "value" {
		t.Fatalf("got %+v, %v", got, err)
	}
	for _, bad := range []string{`""`, `"msg_` + digits + `"`, `"` + overDigits + `"`, `7`} {
		if err := json.Unmarshal([]byte(bad), &got.ID); err == nil {
			t.Errorf("%s was accepted", bad)
		}
	}
}

func FuzzParseID(f *testing.F) {
	f.Add(NewID(sample, 7, 3).Text(KindMessage))
	f.Add(exampleID)
	f.Add("msg_" + maxDigits)
	f.Add("msg_" + overDigits)
	f.Fuzz(func(t *testing.T, text string) {
		id, err := ParseID(KindMessage, text)
		if err == nil && id.Text(KindMessage) != text {
			t.Errorf("%q was read as %x, which is %s", text, id, id.Text(KindMessage))
		}
		if err != nil && !id.IsZero() {
			t.Errorf("%q: an id comes with the error %v", text, err)
		}
		var stored ID
		if err := stored.UnmarshalText([]byte(text)); err != nil {
			return
		}
		if back, _ := stored.MarshalText(); string(back) != text {
			t.Errorf("%q was read as %x, which is %s", text, stored, back)
		}
	})
}

func BenchmarkIDText(b *testing.B) {
	id := NewID(sample, 7, 3)
	b.ReportAllocs()
	for b.Loop() {
		_ = id.Text(KindMessage)
	}
}

// A time that no ID has counts as the first or the last one, so that IDs never go back.
func TestNewIDOutOfRange(t *testing.T) {
	first, last := NewID(0, 1, 0), NewID(lastMillis, 1, 0)
	for _, year := range []int{1, 1970, 2014} {
		if id := NewID(time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli(), 1, 0); id != first {
			t.Errorf("of the year %d: %s", year, id.Time())
		}
	}
	for _, year := range []int{2151, 3000, 9999} {
		if id := NewID(time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli(), 1, 0); id != last || last.Time().Year() != 2150 {
			t.Errorf("of the year %d: %s", year, id.Time())
		}
	}
}
