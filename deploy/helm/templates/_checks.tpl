{{- define "hookwheel.check" -}}
{{- if not (has (int .Values.replicas) (list 1 3 5 7)) }}
{{- fail (printf "replicas is %v, but must be 1, 3, 5 or 7: an even number of nodes survives no more failures than one node less" .Values.replicas) }}
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
{{- range $name := list "HOOKWHEEL_API_TOKEN" "HOOKWHEEL_CLUSTER_SECRET" "HOOKWHEEL_ENCRYPTION_KEYS" }}
{{- if hasKey $.Values.settings $name }}
{{- fail (printf "settings has %s, which belongs into the Secret %s, where others can't read it" $name $.Values.secret) }}
{{- end }}
{{- end }}
{{- range $name := list "HOOKWHEEL_NODE" "HOOKWHEEL_DATA" "HOOKWHEEL_API_LISTEN" "HOOKWHEEL_API_DRAIN" "HOOKWHEEL_TOKEN" "HOOKWHEEL_CLUSTER_LISTEN" "HOOKWHEEL_CLUSTER_PEER" "HOOKWHEEL_CLUSTER_TLS_CA" "HOOKWHEEL_CLUSTER_TLS_CERT" "HOOKWHEEL_CLUSTER_TLS_KEY" }}
{{- if hasKey $.Values.settings $name }}
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
