{{/* What cannot work is refused here, before anything is installed. */}}
{{- define "mcp-oauth2-proxy.refusals" -}}
{{- $mode := include "mcp-oauth2-proxy.tlsMode" . }}
{{- if not (or .Values.provider .Values.providers) }}
{{- fail "provider: say who signs people in, such as provider.name and provider.clientID" }}
{{- end }}
{{- if not .Values.proxy.hosts }}
{{- fail "proxy.hosts: list at least one MCP server" }}
{{- end }}
{{- if and (gt (int .Values.replicaCount) 1) (ne (include "mcp-oauth2-proxy.storeKind" .) "postgres") }}
{{- fail (printf "replicaCount: %d replicas need a store that they share; set store.url to postgres://user@host/database, or store.urlFile to a file that holds such a URL" (int .Values.replicaCount)) }}
{{- end }}
{{- if and .Values.ingress.enabled (ne $mode "off") }}
{{- fail (printf "ingress.enabled: the ingress controller speaks TLS, and so cannot the gateway; set tls.mode to off, or leave the Ingress out and set service.type to LoadBalancer (tls.mode is %s)" $mode) }}
{{- end }}
{{- if and .Values.ingress.forwardAuth.services (ne .Values.ingress.mode "forwardAuth") }}
{{- fail "ingress.forwardAuth.services: are for ingress.mode forwardAuth; with proxy the gateway sends requests to the MCP servers" }}
{{- end }}
{{- $hosts := list }}
{{- range .Values.proxy.hosts }}{{ $hosts = append $hosts .host }}{{ end }}
{{- range $i, $service := .Values.ingress.forwardAuth.services }}
{{- if not (has $service.host $hosts) }}
{{- fail (printf "ingress.forwardAuth.services[%d].host: %s is not among proxy.hosts" $i $service.host) }}
{{- end }}
{{- end }}
{{- if not (include "mcp-oauth2-proxy.port" (dict "root" . "key" "adminAddr")) }}
{{- fail "server.adminAddr: is empty; the probes ask there" }}
{{- end }}
{{- range $key := list "addr" "adminAddr" }}
{{- if regexMatch "^(localhost|127\\.|\\[::1\\])" (get (include "mcp-oauth2-proxy.server" $ | fromYaml) $key) }}
{{- fail (printf "server.%s: nobody outside of the pod reaches a loopback address; write the port alone" $key) }}
{{- end }}
{{- end }}
{{- end }}
