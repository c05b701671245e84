package cli

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// fields turns flags into the fields of a body or the parameters of a query: those that are given
// and no others.
type fields struct {
	flags []func(*cobra.Command)
	given []func() (name string, value any, is bool)
}

// field adds a flag. add defines it on a command; value returns what the API receives.
func field[T any](f *fields, flag, name string, add func(*pflag.FlagSet) *T, value func(T) any) *fields {
	var flags *pflag.FlagSet
	var target *T
	f.flags = append(f.flags, func(cmd *cobra.Command) {
		flags = cmd.Flags()
		target = add(flags)
	})
	f.given = append(f.given, func() (string, any, bool) {
		return name, value(*target), flags.Changed(flag)
	})
	return f
}

// same is for values that the API receives as they were given.
func same[T any](value T) any { return value }

// unless returns a function that replaces the given values by null.
func unless[T comparable](nulls ...T) func(T) any {
	return func(value T) any {
		for _, null := range nulls {
			if value == null {
				return nil
			}
		}
		return value
	}
}

func addString(flag, usage string) func(*pflag.FlagSet) *string {
	return func(flags *pflag.FlagSet) *string { return flags.String(flag, "", usage) }
}

func addInt(flag, usage string) func(*pflag.FlagSet) *int {
	return func(flags *pflag.FlagSet) *int { return flags.Int(flag, 0, usage) }
}

// text is a string.
func (f *fields) text(flag, name, usage string) *fields {
	return field(f, flag, name, addString(flag, usage), same)
}

// orNull is a string; an empty one is null.
func (f *fields) orNull(flag, name, usage string) *fields {
	return field(f, flag, name, addString(flag, usage+`; "" removes it`), unless(""))
}

// list is a list of strings; an empty one is null.
func (f *fields) list(flag, name, usage string) *fields {
	add := func(flags *pflag.FlagSet) *[]string { return flags.StringSlice(flag, nil, usage) }
	return field(f, flag, name, add, func(list []string) any {
		if len(list) == 0 {
			return nil
		}
		return list
	})
}

// pairs is an object of strings.
func (f *fields) pairs(flag, name, usage string) *fields {
	add := func(flags *pflag.FlagSet) *map[string]string { return flags.StringToString(flag, nil, usage) }
	return field(f, flag, name, add, same)
}

// limit is a whole number; 0 is null.
func (f *fields) limit(flag, name, usage string) *fields {
	return field(f, flag, name, addInt(flag, usage+"; 0 removes the limit"), unless(0))
}

// count is a whole number.
func (f *fields) count(flag, name, usage string) *fields {
	return field(f, flag, name, addInt(flag, usage), same)
}

// flag is true or false.
func (f *fields) flag(flag, name, usage string) *fields {
	add := func(flags *pflag.FlagSet) *bool { return flags.Bool(flag, false, usage) }
	return field(f, flag, name, add, same)
}

// choice adds a flag that accepts one of the given words. Each is mapped to what the API receives;
// nil is null.
func (f *fields) choice(flag, name, usage string, words map[string]any) *fields {
	add := func(flags *pflag.FlagSet) *choice {
		c := &choice{words: words}
		flags.Var(c, flag, usage)
		return c
	}
	return field(f, flag, name, add, func(c choice) any { return words[c.text] })
}

// time is a point in time, as timeFlag parses it.
func (f *fields) time(flag, name, usage string, parser timeFlag) *fields {
	add := func(flags *pflag.FlagSet) *timeFlag {
		flags.Var(&parser, flag, usage)
		return &parser
	}
	return field(f, flag, name, add, func(t timeFlag) any { return t.text })
}

func (f *fields) addTo(cmd *cobra.Command) {
	if f == nil {
		return
	}
	for _, add := range f.flags {
		add(cmd)
	}
}

// body returns the fields that were given and others.
func (f *fields) body(others map[string]any) map[string]any {
	body := map[string]any{}
	for name, value := range others {
		body[name] = value
	}
	if f == nil {
		return body
	}
	for _, give := range f.given {
		if name, value, is := give(); is {
			body[name] = value
		}
	}
	return body
}

func (f *fields) query() url.Values {
	query := url.Values{}
	for name, value := range f.body(nil) {
		switch value := value.(type) {
		case nil:
		case []string:
			query.Set(name, strings.Join(value, ","))
		default:
			query.Set(name, fmt.Sprint(value))
		}
	}
	return query
}
