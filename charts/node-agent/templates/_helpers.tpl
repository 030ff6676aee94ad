{{- define "strait.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "strait.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if contains (include "strait.name" .) .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else -}}
{{- printf "%s-%s" .Release.Name (trimPrefix "strait-" (include "strait.name" .)) | trunc 63 | trimSuffix "-" }}
{{- end -}}
{{- end }}

{{- define "strait.selectorLabels" -}}
app.kubernetes.io/name: {{ include "strait.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "strait.labels" -}}
{{ include "strait.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: strait
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "strait.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}
{{- end }}

{{- define "strait.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{ default (include "strait.fullname" .) .Values.serviceAccount.name }}
{{- else -}}
{{ default "default" .Values.serviceAccount.name }}
{{- end -}}
{{- end }}

{{/* Whether the agent has a certificate: "true" or nothing. */}}
{{- define "strait.hasIdentity" -}}
{{- if ne .Values.certificates.mode "none" }}true{{ end -}}
{{- end }}

{{- define "strait.addresses" -}}
{{- toJson (ternary .Values.nodeLocal.addresses .Values.hostResolver.addresses (eq .Values.mode "nodeLocal")) -}}
{{- end }}

{{/* Which zones the cluster's DNS is asked for, and where it is. */}}
{{- define "strait.clusterDns" -}}
{{- $plain := list -}}
{{- range .Values.gateway.zones }}{{ $plain = append $plain (trimSuffix "." . | lower) }}{{ end -}}
{{- $zones := list -}}
{{- range .Values.clusterDns.zones -}}
{{- if not (has (trimSuffix "." . | lower) $plain) }}{{ $zones = append $zones . }}{{ end -}}
{{- end -}}
{{- $servers := .Values.clusterDns.servers -}}
{{- if and $servers (lt (len $zones) (len .Values.clusterDns.zones)) -}}
{{- fail "clusterDns.zones and gateway.zones have a zone in common: say which of the two answers it, by taking it out of the other" -}}
{{- end -}}
{{- if and $zones (not $servers) (not (hasKey .Values.config "forward")) -}}
{{- $servers = without (dig "spec" "clusterIPs" list (lookup "v1" "Service" "kube-system" "kube-dns")) "None" -}}
{{- if not $servers -}}
{{- fail (printf "clusterDns.servers: the agents would deny %s, since they would not know whom to ask. Give the address of the cluster's DNS (kubectl -n kube-system get service kube-dns -o jsonpath='{.spec.clusterIPs}'; helm looks it up by itself only where it installs and the Service has that name), or let the gateway answer (gateway.zones), or set clusterDns.zones: [] where no agent is asked for them" (join ", " $zones)) -}}
{{- end -}}
{{- end -}}
{{- toJson (dict "zones" $zones "servers" $servers) -}}
{{- end }}

{{/* Where /metrics is: for the node alone, unless somebody is to scrape it. */}}
{{- define "strait.admin" -}}
{{- $scraped := or .Values.monitoring.podMonitor.enabled .Values.monitoring.serviceMonitor.enabled -}}
{{- if and $scraped (regexMatch "^(127\\.|\\[::1\\]|localhost:)" .Values.admin) -}}
{{- fail (printf "monitoring: nobody can scrape admin: %s, which is for the node alone; leave it empty, or set 0.0.0.0:9153 or \"[::]:9153\"" .Values.admin) -}}
{{- end -}}
{{- default (ternary "0.0.0.0:9153" "127.0.0.1:9153" $scraped) .Values.admin -}}
{{- end }}

{{/* What values can say and the schema cannot refuse. */}}
{{- define "strait.check" -}}
{{- if and .Values.gateway.endpoints (eq .Values.certificates.mode "none") -}}
{{- fail "gateway.endpoints needs a certificate: set certificates.mode (hostPath, certManagerCsi or existingSecret)" -}}
{{- end -}}
{{- range list "admin" "handOver" "lameduck" "socket" -}}
{{- if hasKey $.Values.config . -}}
{{- fail (printf "config.%s: the pod must know of it as well; set admin, handOver or lameduckSeconds, which are values of the chart (the socket is where probes ask)" .) -}}
{{- end -}}
{{- end -}}
{{- range .Values.nodeLocal.addresses -}}
{{- if hasPrefix "169.254.169." . -}}
{{- fail (printf "nodeLocal.addresses: nodes ask their cloud at %s and near it, and would reach it no more: choose another, such as 169.254.20.53" .) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.gateway.zones (not .Values.gateway.endpoints) -}}
{{- fail "gateway.zones needs gateway.endpoints: the gateway answers these zones" -}}
{{- end -}}
{{- if and (eq .Values.mode "hostResolver") (eq .Values.upstreams.source "resolvConf") -}}
{{- fail "mode: hostResolver cannot have upstreams.source: resolvConf, which would name the agent itself: set upstreams.source: servers or hostFile" -}}
{{- end -}}
{{- if and (eq .Values.upstreams.source "hostFile") (or (lt (len (splitList "/" .Values.upstreams.hostFile)) 4) (hasPrefix "/etc/kubernetes/" .Values.upstreams.hostFile)) -}}
{{- fail (printf "upstreams.hostFile: the folder of the file is mounted, and %s has more in it than that: put the file into a folder of its own, such as /etc/strait/upstreams.conf" (dir .Values.upstreams.hostFile)) -}}
{{- end -}}
{{- if and (eq .Values.upstreams.source "servers") (not .Values.upstreams.servers) -}}
{{- fail "upstreams.source: servers needs upstreams.servers" -}}
{{- end -}}
{{- $csi := .Values.certificates.certManagerCsi -}}
{{- if and (eq .Values.certificates.mode "certManagerCsi") (or (not $csi.trustDomain) (not $csi.issuerName)) -}}
{{- fail "certificates.mode: certManagerCsi needs certificates.certManagerCsi.trustDomain and .issuerName" -}}
{{- end -}}
{{- end }}

{{/* The agent's file. */}}
{{- define "strait.config" -}}
{{- $port := int .Values.port -}}
{{- $listen := list -}}
{{- range fromJsonArray (include "strait.addresses" .) -}}
{{- $listen = append $listen (printf (ternary "[%s]:%d" "%s:%d" (contains ":" .)) . $port) -}}
{{- end -}}
{{- $made := dict
    "listen" $listen
    "handOver" .Values.handOver
    "admin" (include "strait.admin" .)
    "socket" "/run/strait/node-agent.sock"
    "lameduck" (printf "%ds" (int .Values.lameduckSeconds))
    "log" (dict "level" .Values.log.level "format" .Values.log.format) -}}
{{- if eq .Values.upstreams.source "resolvConf" -}}
{{- $_ := set $made "upstreams" (dict "resolvConf" "/etc/resolv.conf") -}}
{{- else if eq .Values.upstreams.source "hostFile" -}}
{{- $_ := set $made "upstreams" (dict "resolvConf" (printf "/host/upstreams/%s" (base .Values.upstreams.hostFile))) -}}
{{- else -}}
{{- $_ := set $made "upstreams" (dict "servers" .Values.upstreams.servers) -}}
{{- end -}}
{{- $clusterDns := fromJson (include "strait.clusterDns" .) -}}
{{- $forward := list -}}
{{- range $clusterDns.zones -}}
{{- $forward = append $forward (dict "zone" . "servers" $clusterDns.servers) -}}
{{- end -}}
{{- with $forward }}{{ $_ := set $made "forward" . }}{{ end -}}
{{- with .Values.allow }}{{ $_ := set $made "allow" . }}{{ end -}}
{{- with .Values.zones }}{{ $_ := set $made "zones" . }}{{ end -}}
{{- if not (kindIs "invalid" .Values.workers) }}{{ $_ := set $made "workers" (int .Values.workers) }}{{ end -}}
{{- if .Values.gateway.endpoints -}}
{{- $gateway := dict "endpoints" .Values.gateway.endpoints -}}
{{- with .Values.gateway.zones }}{{ $_ := set $gateway "zones" . }}{{ end -}}
{{- $_ := set $made "gateway" $gateway -}}
{{- $_ := set $made "state" "/var/lib/strait" -}}
{{- end -}}
{{- if eq (include "strait.hasIdentity" .) "true" -}}
{{- $_ := set $made "identity" (dict "certificate" "/identity/tls.crt" "key" "/identity/tls.key" "trustBundle" "/identity/ca.crt") -}}
{{- end -}}
{{- toYaml (mustMergeOverwrite $made (deepCopy .Values.config)) -}}
{{- end }}

{{/* Who the agent runs as: a port below 1024 takes root, which has that one capability and no other. Kubernetes gives
capabilities to root only: to others they would have to come with the file, past what forbids privilege escalation. */}}
{{- define "strait.agentSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
{{- if lt (int .Values.port) 1024 }}
runAsUser: 0
runAsGroup: 0
capabilities:
  drop: [ALL]
  add: [NET_BIND_SERVICE]
{{- else }}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
capabilities:
  drop: [ALL]
{{- end }}
{{- end }}
