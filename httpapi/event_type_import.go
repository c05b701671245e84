package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"

	"github.com/tidwall/gjson"

	"hookwheel/wal"
	"hookwheel/webhook"
)

// importIn is what to import and how.
type importIn struct {
	spec            *specification
	field           string // that has it
	dry, replaceAll bool
}

func parseImport(text []byte) (in importIn, list []webhook.EventType, err error) {
	b, err := parseBody(text)
	if err != nil {
		return in, nil, err
	}
	var source string
	b.each(func(name string, v gjson.Result) {
		switch name {
		case "dryRun":
			in.dry = !isNull(v) && b.bool(name, v)
		case "replaceAll":
			in.replaceAll = !isNull(v) && b.bool(name, v)
		case "spec":
			if v.IsObject() {
				source, in.field = v.Raw, name
			} else if !isNull(v) {
				b.fail(name, "must be an OpenAPI document as an object")
			}
		case "specRaw":
			if !isNull(v) {
				source, in.field = b.string(name, v), name
			}
		}
	})
	if err := b.err(); err != nil {
		return in, nil, err
	}
	if in.field == "" {
		return in, nil, webhook.Invalid("specRaw", "is missing: an OpenAPI document as text, JSON or YAML, or spec as an object")
	}
	if in.spec, err = parseSpecification(source); err != nil {
		return in, nil, webhook.Invalid(in.field, err.Error())
	}
	list = in.spec.eventTypes(b, in.field)
	return in, list, b.err()
}

// importOut is named as at Svix, but for archived and new.
type importOut struct {
	Data struct {
		Modified []string      `json:"modified"`
		ToModify []importedOut `json:"to_modify,omitempty"` // with dryRun
		Archived []string      `json:"archived"`
	} `json:"data"`
}

type importedOut struct {
	Name        string                     `json:"name"`
	Description string                     `json:"description"`
	GroupName   *string                    `json:"groupName"`
	Deprecated  bool                       `json:"deprecated"`
	Schemas     map[string]json.RawMessage `json:"schemas"`
	New         bool                       `json:"new"`
}

func showImported(t *webhook.EventType) importedOut {
	return importedOut{Name: t.Name, Description: t.Description, GroupName: optional(t.GroupName), Deprecated: t.Deprecated, Schemas: t.Schemas,
		New: t.CreatedAt.IsZero()}
}

// importEventTypes creates and changes event types as the webhooks of an OpenAPI document say.
// Nothing is changed unless the whole document is understood.
func importEventTypes(r *request) (*response, error) {
	in, list, err := parseImport(r.body())
	if err != nil {
		return nil, err
	}
	if err := r.current(); err != nil {
		return nil, err
	}
	var out importOut
	out.Data.Modified, out.Data.Archived = []string{}, []string{}
	wanted := make(map[string]bool)
	for _, t := range list {
		wanted[t.Name] = true
		changed, err := importEventType(r, t, in.dry)
		if err != nil {
			return nil, partly(err, len(out.Data.Modified))
		}
		if changed == nil {
			continue
		}
		out.Data.Modified = append(out.Data.Modified, t.Name)
		if in.dry {
			out.Data.ToModify = append(out.Data.ToModify, showImported(changed))
		}
	}
	if in.replaceAll {
		if out.Data.Archived, err = archiveOthers(r, wanted, in.dry); err != nil {
			return nil, partly(err, len(out.Data.Modified))
		}
	}
	if in.dry {
		return ok(out), nil
	}
	return r.once().answer(out)
}

// importEventType creates or changes an event type and returns it, also if another try of the
// request has done so; nil: it was as it should be.
func importEventType(r *request, t webhook.EventType, dry bool) (*webhook.EventType, error) {
	changed, err := untilUnchanged(func() (*webhook.EventType, error) {
		changed, err := merged(r, t)
		if err == nil && changed != nil && !dry {
			err = writeImported(r, changed)
		}
		return changed, err
	})
	if changed != nil || err != nil {
		return changed, err
	}
	if done, err := r.once().tookEffect("import " + t.Name); !done || err != nil {
		return nil, err
	}
	return &t, nil
}

// merged returns an imported event type with what the present one has besides, or nil if they are
// the same.
func merged(r *request, t webhook.EventType) (*webhook.EventType, error) {
	before, err := r.store().EventType(t.Name)
	if webhook.ErrorCode(err) == webhook.CodeNotFound {
		return &t, nil
	}
	if err != nil {
		return nil, err
	}
	after := *before
	after.Description, after.Deprecated, after.Archived = t.Description, t.Deprecated, false
	if t.GroupName != "" {
		after.GroupName = t.GroupName
	}
	if t.Schemas != nil {
		after.Schemas = maps.Clone(t.Schemas)
		for version, schema := range before.Schemas {
			if _, imported := t.Schemas[version]; !imported {
				after.Schemas[version] = schema
			}
		}
	}
	if after.Description == before.Description && after.Deprecated == before.Deprecated && !before.Archived && after.GroupName == before.GroupName &&
		sameJSON(after.Schemas[exampleSchema], before.Schemas[exampleSchema]) {
		return nil, nil
	}
	return &after, after.Validate()
}

// sameJSON reports whether two texts have the same value.
func sameJSON(a, b json.RawMessage) bool {
	var values [2]any
	for i, text := range []json.RawMessage{a, b} {
		d := json.NewDecoder(bytes.NewReader(text))
		d.UseNumber()
		if err := d.Decode(&values[i]); err != nil && len(text) > 0 {
			return false
		}
	}
	return reflect.DeepEqual(values[0], values[1])
}

func writeImported(r *request, t *webhook.EventType) error {
	ctx := r.once().contextOf("import " + t.Name)
	if t.CreatedAt.IsZero() {
		_, err := r.writer().CreateEventType(ctx, *t)
		return err
	}
	_, err := r.writer().UpdateEventType(ctx, *t)
	return err
}

// archiveOthers archives the event types that an imported document does not have. It returns the
// names of those that this or another try of the request has archived.
func archiveOthers(r *request, wanted map[string]bool, dry bool) ([]string, error) {
	archived := []string{}
	page := wal.NamePage{Ascending: true, Bytes: pageBytes, Limit: maxLimit}
	for more := true; more; {
		var list []webhook.EventType
		var err error
		list, more, err = r.store().EventTypes(page, func(t *webhook.EventType) bool { return !wanted[t.Name] })
		if err != nil {
			return nil, err
		}
		for _, t := range list {
			page.From = t.Name
			archives, err := archiveOne(r, &t, dry)
			if err != nil {
				return nil, err
			}
			if archives {
				archived = append(archived, t.Name)
			}
		}
	}
	return archived, nil
}

// archiveOne reports whether it, or another try of the request, has archived an event type.
func archiveOne(r *request, t *webhook.EventType, dry bool) (bool, error) {
	change := "archive " + t.Name
	switch {
	case t.Archived:
		return r.once().tookEffect(change)
	case dry:
		return true, nil
	default:
		return true, r.writer().DeleteEventType(r.once().contextOf(change), t.Name, false)
	}
}

// partly says that some event types were changed before an error.
func partly(err error, changed int) error {
	var e *webhook.Error
	if changed == 0 || !errors.As(err, &e) {
		return err
	}
	said := *e
	said.Detail = fmt.Sprintf("%d event types were imported; send the request again to continue. %s", changed, e.Detail)
	return &said
}
