{{- define "hookwheel.check" -}}
{{- $settings := .Values.settings | default dict }}
{{- if not (has (int .Values.replicas) (list 1 3 5 7)) }}
{{- fail (printf "replicas is %v, but must be 1, 3, 5 or 7: an even number of nodes survives no more failures than one node fewer" .Values.replicas) }}
{{- end }}
{{- if not .Values.secret }}
{{- fail "secret is missing: it must name a Secret with the keys api-token and cluster-secret; docs/containers.md creates one" }}
{{- end }}
{{- if not .Values.tlsSecret }}
{{- fail "tlsSecret is missing: it must name a Secret with the certificates of the nodes, because nodes on different machines must use TLS; docs/containers.md creates one" }}
{{- end }}
{{- if contains "." .Release.Name }}
{{- fail (printf "the name of the release is %q, but must have no dot: it is the beginning of the nodes' ids" .Release.Name) }}
{{- end }}
{{- if not (regexMatch "^[a-z]" .Release.Name) }}
{{- fail (printf "the name of the release is %q, but must begin with a letter: it is the name of a Service" .Release.Name) }}
{{- end }}
{{- range $name := list "HOOKWHEEL_API_TOKEN" "HOOKWHEEL_CLUSTER_SECRET" "HOOKWHEEL_ENCRYPTION_KEYS" }}
{{- if hasKey $settings $name }}
{{- fail (printf "settings has %s, which belongs in the Secret %s, where others can't read it" $name $.Values.secret) }}
{{- end }}
{{- end }}
{{- range $name := list "HOOKWHEEL_API_JWT_SECRET" "HOOKWHEEL_BACKUP_ENCRYPTION_KEY" "HOOKWHEEL_BACKUP_S3_SECRET_ACCESS_KEY" "HOOKWHEEL_BACKUP_S3_SESSION_TOKEN" "HOOKWHEEL_TRACING_HEADERS" }}
{{- if hasKey $settings $name }}
{{- fail (printf "settings has %s, which belongs in the Secret that settingsSecret names, where others can't read it" $name) }}
{{- end }}
{{- end }}
{{- range $name := list "HOOKWHEEL_NODE" "HOOKWHEEL_DATA" "HOOKWHEEL_API_LISTEN" "HOOKWHEEL_API_DRAIN" "HOOKWHEEL_TOKEN" "HOOKWHEEL_CLUSTER_LISTEN" "HOOKWHEEL_CLUSTER_PEER" "HOOKWHEEL_CLUSTER_ADDRESS" "HOOKWHEEL_CLUSTER_JOIN" "HOOKWHEEL_CLUSTER_VOTER" "HOOKWHEEL_CLUSTER_TLS_CA" "HOOKWHEEL_CLUSTER_TLS_CERT" "HOOKWHEEL_CLUSTER_TLS_KEY" }}
{{- if hasKey $settings $name }}
{{- fail (printf "settings has %s, which the chart sets itself" $name) }}
{{- end }}
{{- end }}
{{- end }}
{{- define "hookwheel.selector" -}}
app.kubernetes.io/name: hookwheel
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}
{{- define "hookwheel.peers" -}}
{{- $name := .Release.Name }}
{{- range $i := until (int .Values.replicas) }}{{ if $i }},{{ end }}{{ $name }}-{{ $i }}={{ $name }}-{{ $i }}.{{ $name }}-peers:9071{{ end }}
{{- end }}
