package main

import (
	"bytes"
	"debug/buildinfo"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"strings"
)

// A component is a part of a program in the terms of CycloneDX 1.6.
type component struct {
	Type    string `json:"type"`
	Ref     string `json:"bom-ref"`
	Name    string `json:"name"`
	Version string `json:"version"`
	PURL    string `json:"purl,omitempty"`
	Hashes  []hash `json:"hashes,omitempty"`
}

type hash struct {
	Algorithm string `json:"alg"`
	Content   string `json:"content"`
}

type dependency struct {
	Ref       string   `json:"ref"`
	DependsOn []string `json:"dependsOn"`
}

// bill lists what is in a program: https://cyclonedx.org/docs/1.6/json/
type bill struct {
	Format   string `json:"bomFormat"`
	Spec     string `json:"specVersion"`
	Version  int    `json:"version"`
	Metadata struct {
		Timestamp string    `json:"timestamp"`
		Component component `json:"component"`
	} `json:"metadata"`
	Components   []component  `json:"components"`
	Dependencies []dependency `json:"dependencies"`
}

// manifest lists the modules that are in a program, as it says itself.
func (b *builder) manifest(program []byte) ([]byte, error) {
	info, err := buildinfo.Read(bytes.NewReader(program))
	if err != nil {
		return nil, err
	}
	list := bill{Format: "CycloneDX", Spec: "1.6", Version: 1}
	list.Metadata.Timestamp = b.time.Format("2006-01-02T15:04:05Z")
	list.Metadata.Component = component{Type: "application", Ref: "hookwheel", Name: "hookwheel", Version: b.version}
	add := func(c component) { list.Components = append(list.Components, c) }
	goVersion := strings.TrimPrefix(info.GoVersion, "go")
	add(component{Type: "library", Ref: "std", Name: "std", Version: goVersion, PURL: "pkg:golang/std@" + goVersion})
	for _, module := range info.Deps {
		if module.Replace != nil {
			module = module.Replace
		}
		url := "pkg:golang/" + module.Path + "@" + strings.ReplaceAll(module.Version, "+", "%2B")
		sum, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(module.Sum, "h1:"))
		if err != nil {
			return nil, err
		}
		add(component{Type: "library", Ref: url, Name: module.Path, Version: module.Version, PURL: url,
			Hashes: []hash{{"SHA-256", hex.EncodeToString(sum)}}})
	}
	whole := dependency{Ref: "hookwheel"}
	for _, c := range list.Components {
		whole.DependsOn = append(whole.DependsOn, c.Ref)
	}
	list.Dependencies = []dependency{whole}
	text, err := json.MarshalIndent(list, "", "  ")
	return append(text, '\n'), err
}
