{{- define "mcp-oauth2-proxy.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "mcp-oauth2-proxy.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "mcp-oauth2-proxy.selectorLabels" -}}
app.kubernetes.io/name: {{ include "mcp-oauth2-proxy.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "mcp-oauth2-proxy.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "mcp-oauth2-proxy.selectorLabels" . }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* The metadata of an object: a dict of root, and of suffix, annotations and
labels where the object has its own. */}}
{{- define "mcp-oauth2-proxy.metadata" -}}
name: {{ include "mcp-oauth2-proxy.fullname" .root }}{{ .suffix }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "mcp-oauth2-proxy.labels" .root | nindent 2 }}
  {{- with .labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with merge (dict) (.annotations | default dict) .root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "mcp-oauth2-proxy.serviceAccountName" -}}
{{- .Values.serviceAccount.name | default (ternary (include "mcp-oauth2-proxy.fullname" .) "default" .Values.serviceAccount.create) }}
{{- end }}

{{- define "mcp-oauth2-proxy.image" -}}
{{- $repository := required "image.repository: say where you have pushed the image, such as registry.example.com/mcp-oauth2-proxy" .Values.image.repository }}
{{- with .Values.image.digest }}
{{- printf "%s@%s" $repository . }}
{{- else }}
{{- printf "%s:%s" $repository (.Values.image.tag | default .Chart.AppVersion) }}
{{- end }}
{{- end }}

{{/* YAML 1.1 reads a bare off as false. */}}
{{- define "mcp-oauth2-proxy.tlsMode" -}}
{{- $mode := toString .Values.tls.mode }}
{{- ternary "off" $mode (eq $mode "false") }}
{{- end }}

{{/* The kind of store: bolt, postgres or memory. What only a Secret knows is
a URL with a password, and so PostgreSQL. */}}
{{- define "mcp-oauth2-proxy.storeKind" -}}
{{- $fromEnv := false }}
{{- range .Values.extraEnv }}
{{- if has .name (list "MCP_OAUTH2_PROXY_STORE_URL" "MCP_OAUTH2_PROXY_STORE_URLFILE") }}
{{- $fromEnv = true }}
{{- end }}
{{- end }}
{{- if or .Values.store.urlFile $fromEnv (hasPrefix "postgres" .Values.store.url) -}}
postgres
{{- else if hasPrefix "memory:" .Values.store.url -}}
memory
{{- else -}}
bolt
{{- end }}
{{- end }}

{{- define "mcp-oauth2-proxy.stateDir" -}}
{{- if .Values.store.url }}{{ .Values.store.url | trimPrefix "bolt://" | dir }}{{ else }}/var/lib/mcp-oauth2-proxy{{ end }}
{{- end }}

{{/* The server group with what Kubernetes decides: ports that need no right, an
admin listener that probes reach, a socket on a file system that can be written. */}}
{{- define "mcp-oauth2-proxy.server" -}}
{{- $off := eq (include "mcp-oauth2-proxy.tlsMode" .) "off" }}
{{- $server := dict
  "addr" (ternary ":8080" ":8443" $off)
  "httpAddr" (ternary "" ":8080" $off)
  "adminAddr" ":9090"
  "adminSocket" "/run/mcp-oauth2-proxy/admin.sock" }}
{{- range $key, $value := .Values.server }}
{{- if not (and (kindIs "slice" $value) (empty $value)) }}
{{- $_ := set $server $key $value }}
{{- end }}
{{- end }}
{{- toYaml $server }}
{{- end }}

{{/* A port of the server group: a dict of root and key. */}}
{{- define "mcp-oauth2-proxy.port" -}}
{{- $server := include "mcp-oauth2-proxy.server" .root | fromYaml }}
{{- get $server .key | regexFind "[0-9]+$" }}
{{- end }}

{{/* config.yaml: every value that is not the chart's own. */}}
{{- define "mcp-oauth2-proxy.config" -}}
{{- $config := dict }}
{{- range $group, $value := omit .Values "global" "replicaCount" "image" "imagePullSecrets" "nameOverride" "fullnameOverride" "commonLabels" "commonAnnotations"
  "existingSecret" "serviceAccount" "service" "ingress" "networkPolicy" "podMonitor" "persistence" "podDisruptionBudget" "resources" "preStopSleepSeconds"
  "startupProbe" "livenessProbe" "readinessProbe" "podSecurityContext" "securityContext" "podAnnotations" "podLabels" "extraEnv" "extraEnvFrom"
  "volumes" "volumeMounts" "nodeSelector" "tolerations" "affinity" "priorityClassName" "topologySpreadConstraints" }}
{{- if $value }}
{{- $_ := set $config $group (deepCopy $value) }}
{{- end }}
{{- end }}
{{- with $config.provider }}
{{- $_ := set $config "provider" (merge (dict) . (dict "name" "google")) }}
{{- end }}
{{- $_ := set $config "server" (include "mcp-oauth2-proxy.server" . | fromYaml) }}
{{- $_ := set $config "tls" (merge (dict "mode" (include "mcp-oauth2-proxy.tlsMode" .)) ($config.tls | default dict)) }}
{{- $_ := set $config "store" (omit $config.store "url" "urlFile") }}
{{- with .Values.store.url }}{{ $_ := set $config.store "url" . }}{{ end }}
{{- with .Values.store.urlFile }}{{ $_ := set $config.store "urlFile" . }}{{ end }}
{{- if empty $config.store }}{{ $_ := unset $config "store" }}{{ end }}
{{- toYaml $config }}
{{- end }}

{{/* A Go duration in whole seconds, rounded up. */}}
{{- define "mcp-oauth2-proxy.seconds" -}}
{{- $d := toString . }}
{{- $ms := regexFind "[0-9.]+ms" $d | trimSuffix "ms" | default "0" | float64 }}
{{- $d = regexReplaceAll "[0-9.]+(ms|us|µs|ns)" $d "" }}
{{- $h := regexFind "[0-9.]+h" $d | trimSuffix "h" | default "0" | float64 }}
{{- $m := regexFind "[0-9.]+m" $d | trimSuffix "m" | default "0" | float64 }}
{{- $s := regexFind "[0-9.]+s" $d | trimSuffix "s" | default "0" | float64 }}
{{- addf (mulf $h 3600) (mulf $m 60) $s (divf $ms 1000) | ceil | int }}
{{- end }}

{{/* What the gateway answers itself, for an Ingress that sends the rest elsewhere. */}}
{{- define "mcp-oauth2-proxy.ownPaths" -}}
paths:
  - /.well-known/oauth-authorization-server
  - /.well-known/oauth-protected-resource
  - /.well-known/openid-configuration
  - /account
  - /authenticate
  - /authorize
  - /callback
  - /consent
  - /openid/v1/jwks
  - /register
  - /revoke
  - /signin
  - /token
{{- end }}

{{/* The rules for going out to a URL: a dict of root and url. A policy sees the
port of the pod, not of the Service, so within the cluster it can name the
namespace only. */}}
{{- define "mcp-oauth2-proxy.egressTo" -}}
{{- $url := urlParse .url }}
{{- $host := $url.host | default "" | regexFind "^(\\[[^]]*\\]|[^:]*)" | trimSuffix "." }}
{{- $port := $url.host | default "" | regexFind ":[0-9]+$" | trimPrefix ":" | default (get (dict "http" "80" "https" "443" "postgres" "5432" "postgresql" "5432") $url.scheme) }}
{{- $service := regexFind "^[^.]+\\.[^.]+\\.svc(\\..+)?$" $host }}
{{- if not (and $host $port) }}
{{- else if regexMatch "^(localhost|127\\..*|\\[::1\\])$" $host }}
{{- else if $service }}
- to:
    - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: {{ index (splitList "." $service) 1 | quote }}}}
{{- else if hasPrefix "[" $host }}
- to:
    - ipBlock: {cidr: {{ printf "%s/128" (trimAll "[]" $host) | quote }}}
  ports: [{protocol: TCP, port: {{ $port }}}]
{{- else if regexMatch "^[0-9.]+$" $host }}
- to:
    - ipBlock: {cidr: {{ $host }}/32}
  ports: [{protocol: TCP, port: {{ $port }}}]
{{- else if not (contains "." $host) }}
- to:
    - podSelector: {}
{{- else if hasPrefix "postgres" $url.scheme }}
- ports: [{protocol: TCP, port: {{ $port }}}]
{{- else if ne $port "443" }}
- to: {{- include "mcp-oauth2-proxy.internet" .root | trim | nindent 4 }}
  ports: [{protocol: TCP, port: {{ $port }}}]
{{- end }}
{{- end }}

{{- define "mcp-oauth2-proxy.internet" -}}
{{- $four := list }}
{{- $six := list }}
{{- range .Values.networkPolicy.egress.except }}
{{- if contains ":" . }}{{ $six = append $six . }}{{ else }}{{ $four = append $four . }}{{ end }}
{{- end }}
- ipBlock: {cidr: 0.0.0.0/0, except: {{ toJson $four }}}
- ipBlock: {cidr: "::/0", except: {{ toJson $six }}}
{{- end }}
