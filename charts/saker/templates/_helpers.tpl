{{- /* The image with its tag. */ -}}
{{- define "saker.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- /* Labels that never change, for selectors. Takes (dict "root" $ "component" "agent"). */ -}}
{{- define "saker.selector" -}}
app.kubernetes.io/name: saker
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- /* All labels of an object. */ -}}
{{- define "saker.labels" -}}
{{ include "saker.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: saker
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end }}

{{- /* What the chart decides in the agent's configuration, on top of what the user wrote. */ -}}
{{- define "saker.agentConfig" -}}
{{- $ours := dict
  "webserver" (dict "enabled" true "listen_address" "0.0.0.0" "listen_port" 8765)
  "state_dir" "/var/lib/saker"
  "k8s_audit" (dict "sink_folder" "/etc/saker-audit")
  "kubernetes" (dict "enabled" true "namespace" .Release.Namespace)
-}}
{{ mergeOverwrite (deepCopy .Values.agent.config) $ours | toYaml }}
{{- end }}
