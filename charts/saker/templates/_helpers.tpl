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

{{- /* The values of the profile, as YAML. */ -}}
{{- define "saker.profile" -}}
{{ .Files.Get (printf "profiles/%s.yaml" .Values.profile) }}
{{- end }}

{{- /* Resources of a component: its own, or else the profile's. Takes (dict "root" $ "component" "agent"). */ -}}
{{- define "saker.resources" -}}
{{- $profile := include "saker.profile" .root | fromYaml -}}
{{ get (get .root.Values .component) "resources" | default (get (get $profile .component) "resources") | toYaml }}
{{- end }}

{{- /* The agent's configuration: the profile's, over it what the user wrote, over it what the chart decides. */ -}}
{{- define "saker.agentConfig" -}}
{{- $profile := include "saker.profile" . | fromYaml -}}
{{- $ours := dict
  "webserver" (dict "enabled" true "listen_address" "0.0.0.0" "listen_port" 8765)
  "state_dir" "/var/lib/saker"
  "k8s_audit" (dict "sink_folder" "/etc/saker-audit")
  "kubernetes" (dict "enabled" true "namespace" .Release.Namespace)
-}}
{{ mergeOverwrite $profile.agent.config (deepCopy .Values.agent.config) $ours | toYaml }}
{{- end }}

{{- /* Whether the Prometheus operator's resources exist. */ -}}
{{- define "saker.monitored" -}}
{{ if .Capabilities.APIVersions.Has "monitoring.coreos.com/v1" }}yes{{ end }}
{{- end }}

{{- /* Pod of a job that is the operator with one argument. Takes (dict "root" $ "name" "crds" "argument" "--apply-crds"). */ -}}
{{- define "saker.jobPod" -}}
serviceAccountName: saker-{{ .name }}
restartPolicy: Never
{{- with .root.Values.operator.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.operator.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  seccompProfile: {type: RuntimeDefault}
containers:
  - name: {{ .name }}
    image: {{ include "saker.image" .root }}
    imagePullPolicy: {{ .root.Values.image.pullPolicy }}
    command: [/saker-operator, {{ .argument }}]
    securityContext:
      allowPrivilegeEscalation: false
      readOnlyRootFilesystem: true
      capabilities: {drop: [ALL]}
{{- end }}
