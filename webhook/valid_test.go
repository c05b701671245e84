package webhook

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// checkInvalid compares err with what a table wants: a field and a part of the detail, or no error
// if field is empty.
func checkInvalid(t *testing.T, err error, field, detail string) {
	t.Helper()
	if field == "" {
		if err != nil {
			t.Errorf("refused: %v", err)
		}
		return
	}
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want an error about %s", err, field)
	}
	if e.Code != CodeInvalid || e.Field != field || !strings.Contains(e.Detail, detail) {
		t.Errorf("got %s, %s: %s; want %s: %s", e.Code, e.Field, e.Detail, field, detail)
	}
}

func times(text string, n int) string { return strings.Repeat(text, n) }

// distinct is n different words.
func distinct(n int) []string {
	words := make([]string, n)
	for i := range words {
		words[i] = fmt.Sprintf("word%d", i)
	}
	return words
}

// long is n different words of 256 bytes.
func long(n int) []string {
	words := make([]string, n)
	for i := range words {
		words[i] = fmt.Sprintf("%0256d", i)
	}
	return words
}

// metadataOf has that many bytes as JSON.
func metadataOf(bytes int) map[string]string {
	return map[string]string{"k": times("v", bytes-len(`{"k":""}`))}
}

const badWord = "may hold only letters, digits and - _ . : +"

func TestApplicationValidate(t *testing.T) {
	tests := map[string]struct {
		change        func(*Application)
		field, detail string
	}{
		"smallest":           {func(a *Application) {}, "", ""},
		"uid":                {func(a *Application) { a.UID = "Customer-1_a.b:c+d" }, "", ""},
		"longest uid":        {func(a *Application) { a.UID = times("u", 256) }, "", ""},
		"uid like app":       {func(a *Application) { a.UID = "apple_1" }, "", ""},
		"uid of other kind":  {func(a *Application) { a.UID = "ep_1" }, "", ""},
		"longest name":       {func(a *Application) { a.Name = times("n", 4096) }, "", ""},
		"name in any tongue": {func(a *Application) { a.Name = "Bücher & 本\t\n" }, "", ""},
		"most metadata":      {func(a *Application) { a.Metadata = metadataOf(4096) }, "", ""},
		"no name":            {func(a *Application) { a.Name = "" }, "name", "is missing or empty"},
		"name too long":      {func(a *Application) { a.Name = times("n", 4097) }, "name", "longer than 4096 bytes"},
		"name not UTF-8":     {func(a *Application) { a.Name = "a\xff" }, "name", "must be UTF-8"},
		"zero byte in name":  {func(a *Application) { a.Name = "a\x00" }, "name", "control characters"},
		"backspace in name":  {func(a *Application) { a.Name = "a\b" }, "name", "control characters"},
		"uid too long":       {func(a *Application) { a.UID = times("u", 257) }, "uid", "1 to 256 characters"},
		"uid of a dot":       {func(a *Application) { a.UID = "." }, "uid", "cannot be part of a path"},
		"uid of two dots":    {func(a *Application) { a.UID = ".." }, "uid", "cannot be part of a path"},
		"uid of three dots":  {func(a *Application) { a.UID = "..." }, "", ""},
		"escaped dots":       {func(a *Application) { a.UID = "%2e%2e" }, "uid", badWord},
		"escape in name":     {func(a *Application) { a.Name = "a\x1b[2J" }, "name", "control characters"},
		"C1 in name":         {func(a *Application) { a.Name = "a\u009b2J" }, "name", "control characters"},
		"DEL in name":        {func(a *Application) { a.Name = "a\x7f" }, "name", "control characters"},
		"NUL in metadata":    {func(a *Application) { a.Metadata = map[string]string{"k": "\x00"} }, "metadata", "control characters"},
		"ESC in a key":       {func(a *Application) { a.Metadata = map[string]string{"\x1b": "v"} }, "metadata", "control characters"},
		"uid like an id":     {func(a *Application) { a.UID = "app_1" }, "uid", "must not begin with app_"},
		"our own id as uid":  {func(a *Application) { a.UID = NewID(1, 2, 3).Text(KindApplication) }, "uid", "must not begin with app_"},
		"a Svix id as uid":   {func(a *Application) { a.UID = "app_1srOrx2ZWZBpBUvZwXKQmoEYga2" }, "", ""},
		"space in uid":       {func(a *Application) { a.UID = "a b" }, "uid", badWord},
		"slash in uid":       {func(a *Application) { a.UID = "a/b" }, "uid", badWord},
		"umlaut in uid":      {func(a *Application) { a.UID = "ü" }, "uid", badWord},
		"too much metadata":  {func(a *Application) { a.Metadata = metadataOf(4097) }, "metadata", "longer than 4096 bytes"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			a := Application{Name: "name"}
			test.change(&a)
			checkInvalid(t, a.Validate(), test.field, test.detail)
		})
	}
}

func TestEndpointValidate(t *testing.T) {
	tests := map[string]struct {
		change        func(*Endpoint)
		field, detail string
	}{
		"smallest":             {func(e *Endpoint) {}, "", ""},
		"uid":                  {func(e *Endpoint) { e.UID = "main" }, "", ""},
		"description":          {func(e *Endpoint) { e.Description = times("d", 4096) }, "", ""},
		"most event types":     {func(e *Endpoint) { e.EventTypes = distinct(1000) }, "", ""},
		"most channels":        {func(e *Endpoint) { e.Channels = distinct(10) }, "", ""},
		"metadata":             {func(e *Endpoint) { e.Metadata = metadataOf(4096) }, "", ""},
		"no URL":               {func(e *Endpoint) { e.URL = "" }, "url", "not an absolute URL"},
		"uid like an id":       {func(e *Endpoint) { e.UID = "ep_1" }, "uid", "must not begin with ep_"},
		"our own id as uid":    {func(e *Endpoint) { e.UID = NewID(1, 2, 3).Text(KindEndpoint) }, "uid", "must not begin with ep_"},
		"a Svix id as uid":     {func(e *Endpoint) { e.UID = "ep_1srOrx2ZWZBpBUvZwXKQmoEYga2" }, "", ""},
		"uid with bad letters": {func(e *Endpoint) { e.UID = "?" }, "uid", badWord},
		"description too long": {func(e *Endpoint) { e.Description = times("d", 4097) }, "description", "longer than 4096"},
		"too many event types": {func(e *Endpoint) { e.EventTypes = distinct(1001) }, "eventTypes", "at most 1000 items"},
		"empty event type":     {func(e *Endpoint) { e.EventTypes = []string{"a", ""} }, "eventTypes", "1 to 256 characters"},
		"bad event type":       {func(e *Endpoint) { e.EventTypes = []string{"user.*"} }, "eventTypes", badWord},
		"too many channels":    {func(e *Endpoint) { e.Channels = distinct(11) }, "channels", "at most 10 items"},
		"event type of dots":   {func(e *Endpoint) { e.EventTypes = []string{".."} }, "eventTypes", "cannot be part of a path"},
		"event types too long": {func(e *Endpoint) { e.EventTypes = long(129) }, "eventTypes", "at most 32768 bytes"},
		"long event types":     {func(e *Endpoint) { e.EventTypes = long(128) }, "", ""},
		"uid of two dots":      {func(e *Endpoint) { e.UID = ".." }, "uid", "cannot be part of a path"},
		"bad channel":          {func(e *Endpoint) { e.Channels = []string{"a b"} }, "channels", badWord},
		"ordering":             {func(e *Endpoint) { e.Ordering = OrderingKey; e.OnExhausted = OnExhaustedBlock }, "", ""},
		"no such ordering":     {func(e *Endpoint) { e.Ordering = "app" }, "ordering", "must be endpoint, key or null"},
		"no such choice":       {func(e *Endpoint) { e.OnExhausted = "wait" }, "onExhausted", "must be skip or block"},
		"no such style":        {func(e *Endpoint) { e.Style = "gitlab" }, "signatureStyle", "must be standard, github"},
		"too much metadata":    {func(e *Endpoint) { e.Metadata = metadataOf(4097) }, "metadata", "longer than 4096"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			e := Endpoint{URL: "https://example.com/hook"}
			test.change(&e)
			checkInvalid(t, e.Validate(), test.field, test.detail)
		})
	}
}

func TestMessageValidate(t *testing.T) {
	tests := map[string]struct {
		change        func(*Message)
		field, detail string
	}{
		"smallest":            {func(m *Message) {}, "", ""},
		"longest event type":  {func(m *Message) { m.EventType = times("e", 256) }, "", ""},
		"event id":            {func(m *Message) { m.EventID = "order:1+2" }, "", ""},
		"event id like msg":   {func(m *Message) { m.EventID = "msg-1" }, "", ""},
		"most channels":       {func(m *Message) { m.Channels = distinct(10) }, "", ""},
		"no event type":       {func(m *Message) { m.EventType = "" }, "eventType", "1 to 256 characters"},
		"event type too long": {func(m *Message) { m.EventType = times("e", 257) }, "eventType", "1 to 256 characters"},
		"bad event type":      {func(m *Message) { m.EventType = "user created" }, "eventType", badWord},
		"event id too long":   {func(m *Message) { m.EventID = times("e", 257) }, "eventId", "1 to 256 characters"},
		"event id of dots":    {func(m *Message) { m.EventID = ".." }, "eventId", "cannot be part of a path"},
		"event type of a dot": {func(m *Message) { m.EventType = "." }, "eventType", "cannot be part of a path"},
		"bad event id":        {func(m *Message) { m.EventID = "a\n" }, "eventId", badWord},
		"event id like an id": {func(m *Message) { m.EventID = "msg_1" }, "eventId", "must not begin with msg_"},
		"too many channels":   {func(m *Message) { m.Channels = distinct(11) }, "channels", "at most 10 items"},
		"empty channel":       {func(m *Message) { m.Channels = []string{""} }, "channels", "1 to 256 characters"},
		"tags":                {func(m *Message) { m.Tags = []string{`a/b\c#d`, "x.y_z-1"} }, "", ""},
		"too many tags":       {func(m *Message) { m.Tags = distinct(6) }, "tags", "at most 5 items"},
		"bad tag":             {func(m *Message) { m.Tags = []string{"a b"} }, "tags", "may hold only letters"},
		"tag too long":        {func(m *Message) { m.Tags = []string{times("t", 129)} }, "tags", "1 to 128 characters"},
		"bad ordering key":    {func(m *Message) { m.OrderingKey = "a b" }, "orderingKey", badWord},
		"retention":           {func(m *Message) { m.Retention = MaxRetention }, "", ""},
		"retention too long":  {func(m *Message) { m.Retention = MaxRetention + time.Hour }, "payloadRetentionHours", "from 1 to 2160"},
		"scheduled":           {func(m *Message) { m.DeliverAt = time.Unix(1_790_000_000, 0).AddDate(0, 11, 0) }, "", ""},
		"scheduled too late":  {func(m *Message) { m.DeliverAt = time.Unix(1_790_000_000, 0).AddDate(2, 0, 0) }, "deliverAt", "a year from now"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			m := Message{EventType: "user.created"}
			test.change(&m)
			checkInvalid(t, m.Validate(time.Unix(1_790_000_000, 0)), test.field, test.detail)
		})
	}
}
