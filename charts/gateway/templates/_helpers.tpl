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

{{- define "strait.trustDomain" -}}
{{ default .Values.suffix .Values.trustDomain }}
{{- end }}

{{/* Whether the gateway talks to the API server: "true" or nothing. */}}
{{- define "strait.usesApi" -}}
{{- if or (eq .Values.backend.mode "kubernetes") (eq .Values.state.mode "kubernetes") }}true{{ end -}}
{{- end }}

{{/* The Secret that holds the gateway's certificate. */}}
{{- define "strait.tlsSecret" -}}
{{- if eq .Values.certificates.mode "certManager" -}}
{{ include "strait.fullname" . }}-tls
{{- else -}}
{{ .Values.certificates.existingSecret.name }}
{{- end -}}
{{- end }}

{{/* What values can say and the schema cannot refuse. */}}
{{- define "strait.check" -}}
{{- $suffix := printf ".%s" (trimSuffix "." .Values.suffix) -}}
{{- $home := printf ".%s" (trimSuffix "." .Values.homeZone) -}}
{{- if or (hasSuffix $home $suffix) (hasSuffix $suffix $home) -}}
{{- fail "suffix is what other clusters call this one, and must be neither within homeZone, what it calls itself, nor around it: cluster-a.example.com" -}}
{{- end -}}
{{- if and (eq .Values.state.mode "file") (or .Values.autoscaling.enabled (gt (int .Values.replicas) 1)) -}}
{{- fail "state.mode: file keeps peers in a file of one gateway: set replicas: 1 and autoscaling.enabled: false, or state.mode: kubernetes" -}}
{{- end -}}
{{- if and (eq .Values.backend.mode "clusterDns") (not .Values.backend.clusterDns.servers) -}}
{{- fail "backend.mode: clusterDns needs backend.clusterDns.servers: the address of the cluster's DNS (kubectl -n kube-system get service kube-dns)" -}}
{{- end -}}
{{- if and (eq .Values.certificates.mode "certManager") (not .Values.certificates.certManager.issuerRef.name) -}}
{{- fail "certificates.mode: certManager needs certificates.certManager.issuerRef.name: the CA issuer of this cluster's trust domain" -}}
{{- end -}}
{{- if and .Values.autoscaling.enabled (gt (int .Values.autoscaling.minReplicas) (int .Values.autoscaling.maxReplicas)) -}}
{{- fail "autoscaling.minReplicas is over autoscaling.maxReplicas" -}}
{{- end -}}
{{- if and .Values.podDisruptionBudget.enabled (eq (kindIs "invalid" .Values.podDisruptionBudget.maxUnavailable) (kindIs "invalid" .Values.podDisruptionBudget.minAvailable)) -}}
{{- fail "podDisruptionBudget: give one of maxUnavailable and minAvailable, and null to the other" -}}
{{- end -}}
{{- end }}

{{/* The gateway's file. */}}
{{- define "strait.config" -}}
{{- $identity := dict "certificate" "/identity/tls.crt" "key" "/identity/tls.key" "trustBundle" "/identity/ca.crt" -}}
{{- $listen := list -}}
{{- range .Values.listenFamilies -}}
{{- $any := ternary "[::]" "0.0.0.0" (eq . "IPv6") -}}
{{- $listen = concat $listen (list (printf "tls://%s:8853" $any) (printf "grpc://%s:8443" $any)) -}}
{{- end -}}
{{- $made := dict
    "cluster" .Values.cluster
    "suffix" .Values.suffix
    "homeZone" .Values.homeZone
    "listen" $listen
    "admin" (printf "%s:9154" (ternary "[::]" "0.0.0.0" (has "IPv6" .Values.listenFamilies)))
    "socket" "/run/strait/gateway.sock"
    "identity" $identity
    "lameduck" (printf "%ds" (int .Values.lameduckSeconds))
    "log" (dict "level" .Values.log.level "format" .Values.log.format) -}}
{{- if eq .Values.backend.mode "kubernetes" -}}
{{- $kubernetes := dict "pods" .Values.backend.kubernetes.pods "snapshot" "/var/lib/strait/catalog" -}}
{{- with .Values.backend.kubernetes.staleAfter }}{{ $_ := set $kubernetes "staleAfter" . }}{{ end -}}
{{- if not (kindIs "invalid" .Values.backend.kubernetes.ttl) }}{{ $_ := set $kubernetes "ttl" (int .Values.backend.kubernetes.ttl) }}{{ end -}}
{{- $_ := set $made "backend" (dict "kubernetes" $kubernetes) -}}
{{- else -}}
{{- $_ := set $made "backend" (dict "clusterDns" .Values.backend.clusterDns.servers) -}}
{{- end -}}
{{- with .Values.reverse }}{{ $_ := set $made "reverse" . }}{{ end -}}
{{- if eq .Values.state.mode "kubernetes" -}}
{{- $_ := set $made "state" (dict "kubernetes" (dict "namespace" .Release.Namespace "copy" "/var/lib/strait/peers.json")) -}}
{{- else -}}
{{- $_ := set $made "state" "/var/lib/strait/peers.json" -}}
{{- end -}}
{{- toYaml (mustMergeOverwrite $made (deepCopy .Values.config)) -}}
{{- end }}

{{/* What every container may: nothing. */}}
{{- define "strait.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{- define "strait.podSecurity" -}}
{{- $context := dict
    "runAsNonRoot" true
    "runAsUser" 65532
    "runAsGroup" 65532
    "fsGroup" 65532
    "fsGroupChangePolicy" "OnRootMismatch"
    "seccompProfile" (dict "type" "RuntimeDefault") -}}
{{- toYaml (mustMergeOverwrite $context (deepCopy .Values.podSecurityContext)) -}}
{{- end }}

{{/* The gateway's certificate, and the CA that issues it when it is our own. */}}
{{- define "strait.identityVolumes" -}}
{{- if eq .Values.certificates.mode "ownCa" }}
- name: identity
  emptyDir: { medium: Memory, sizeLimit: 1Mi }
- name: ca
  secret:
    secretName: {{ .Values.certificates.ownCa.secretName }}
    defaultMode: 288 # 0440
    items:
      - { key: ca.crt, path: ca.crt }
      - { key: ca.key, path: ca.key }
{{- else }}
- name: identity
  secret:
    secretName: {{ include "strait.tlsSecret" . }}
    defaultMode: 288 # 0440
    items:
      - { key: tls.crt, path: tls.crt }
      - { key: tls.key, path: tls.key }
      - { key: ca.crt, path: ca.crt }
{{- end }}
{{- end }}
