{{- define "mcpo.name" -}}
{{- if contains "mcpo" .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}{{ printf "%s-mcpo" .Release.Name | trunc 50 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "mcpo.selector" -}}
app.kubernetes.io/name: mcpo
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "mcpo.labels" -}}
{{ include "mcpo.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "mcpo.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}{{ default (include "mcpo.name" .) .Values.serviceAccount.name }}
{{- else }}{{ default "default" .Values.serviceAccount.name }}{{ end }}
{{- end }}

{{- define "mcpo.secret" -}}
{{- default (printf "%s-secrets" (include "mcpo.name" .)) .Values.secret.existing }}
{{- end }}

{{- define "mcpo.image" -}}
{{- if .Values.image.digest }}{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else }}{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}{{ end }}
{{- end }}

{{/* What would start, and then not do what it seems to do. */}}
{{- define "mcpo.check" -}}
{{- $many := or (gt (int .Values.replicas) 1) .Values.autoscaling.enabled }}
{{- if and $many (not (regexMatch `"type"\s*:\s*"postgres"` .Values.config)) }}
{{- fail "several replicas have to share their logins: give the configuration a \"storage\" of \"type\": \"postgres\" with a dsn and an encryption_key, or set replicas to 1 and autoscaling.enabled to false" }}
{{- end }}
{{- end }}
