{{/* Names are those of the release: one mesh a release. */}}
{{- define "mesh.name" -}}{{ .Release.Name | trunc 40 | trimSuffix "-" }}{{- end }}

{{- define "mesh.labels" -}}
app.kubernetes.io/name: inference-mesh
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{/* Called with (dict "root" $ "role" "auth"). */}}
{{- define "mesh.selector" -}}
app.kubernetes.io/name: inference-mesh
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .role }}
{{- end }}

{{- define "mesh.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "mesh.scheme" -}}{{ ternary "https" "http" (ne .Values.meshTls.existingSecret "") }}{{- end }}

{{/* No process runs as root, has a capability, or writes beside its volumes. */}}
{{- define "mesh.podSecurity" -}}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile: { type: RuntimeDefault }
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{ toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "mesh.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: { drop: [ALL] }
{{- end }}

{{/* Called with (dict "root" $ "roles" "auth" "tls" "auth"). What every process is told. */}}
{{- define "mesh.environment" -}}
{{- $name := include "mesh.name" .root -}}
{{- $scheme := include "mesh.scheme" .root -}}
- { name: MESH_ROLES, value: {{ .roles | quote }} }
- { name: MESH_CONFIG, value: /etc/inference-mesh/{{ .tls }}.yaml }
- { name: MESH_DATA_DIR, value: /var/lib/inference-mesh }
- { name: MESH_LOG_DIR, value: /var/log/llm-api }
- { name: LOG_LEVEL, value: {{ .root.Values.logLevel }} }
- { name: METRICS_PORT, value: "9090" }
- { name: MESH_TOKEN, valueFrom: { secretKeyRef: { name: {{ .root.Values.existingSecret }}, key: mesh-token } } }
- { name: MESH_PEER_AUTH, value: "{{ $scheme }}://{{ $name }}-auth:7001" }
- { name: MESH_PEER_QUOTA, value: "{{ $scheme }}://{{ $name }}-quota:7002" }
- { name: MESH_PEER_TASKS, value: "{{ $scheme }}://{{ $name }}-tasks:7005" }
- { name: MESH_PEER_ROUTER, value: "{{ include "mesh.routers" . }}" }
{{- with .root.Values.otlpEndpoint }}
- { name: OTEL_EXPORTER_OTLP_ENDPOINT, value: {{ . | quote }} }
{{- end }}
{{- end }}

{{/* Engines are announced to every gateway behind the name; tasks ask any. */}}
{{- define "mesh.routers" -}}
{{- $name := include "mesh.name" .root -}}
{{- $scheme := include "mesh.scheme" .root -}}
{{- if eq .roles "inference" -}}
dns+{{ $scheme }}://{{ $name }}-gateway-pods:8000
{{- else -}}
{{ $scheme }}://{{ $name }}-gateway-peers:8000
{{- end -}}
{{- end }}

{{- define "mesh.storeEnvironment" -}}
- { name: REDIS_URL, valueFrom: { secretKeyRef: { name: {{ .Values.existingSecret }}, key: redis-url } } }
{{- end }}

{{/*
Called with (dict "root" $ "role" "auth" "port" 7001): whether the process serves, and whether it lives. Its service is asked for, which serves
until the port closes: where all pods stop at once, peers still reach it for what they have to settle.
*/}}
{{- define "mesh.roleProbes" -}}
{{- if .root.Values.meshTls.existingSecret }}
startupProbe: { tcpSocket: { port: {{ .port }} }, periodSeconds: 2, failureThreshold: 90 }
readinessProbe: { tcpSocket: { port: {{ .port }} }, periodSeconds: 5, failureThreshold: 2 }
livenessProbe: { tcpSocket: { port: {{ .port }} }, periodSeconds: 10, failureThreshold: 6 }
{{- else }}
{{- $service := printf "mesh.%s.v1.%sService" .role (title .role) }}
startupProbe: { grpc: { port: {{ .port }}, service: {{ $service }} }, periodSeconds: 2, failureThreshold: 90, timeoutSeconds: 5 }
readinessProbe: { grpc: { port: {{ .port }}, service: {{ $service }} }, periodSeconds: 5, failureThreshold: 2, timeoutSeconds: 5 }
livenessProbe: { tcpSocket: { port: {{ .port }} }, periodSeconds: 10, failureThreshold: 6 }
{{- end }}
{{- end }}

{{/* Endpoints forget a pod that stops a moment later than it is told: it goes on as before for so long. */}}
{{- define "mesh.lifecycle" -}}
lifecycle: { preStop: { exec: { command: [sleep, {{ .Values.server.preStopSeconds | quote }}] } } }
{{- end }}

{{- define "mesh.gracePeriod" -}}
{{ add .Values.server.drainSeconds .Values.server.drainGraceSeconds .Values.server.preStopSeconds 30 }}
{{- end }}

{{- define "mesh.mounts" -}}
- { name: config, mountPath: /etc/inference-mesh, readOnly: true }
- { name: data, mountPath: /var/lib/inference-mesh }
- { name: logs, mountPath: /var/log/llm-api }
- { name: tmp, mountPath: /tmp }
{{- if .Values.meshTls.existingSecret }}
- { name: mesh-tls, mountPath: /etc/inference-mesh-tls, readOnly: true }
{{- end }}
{{- end }}

{{- define "mesh.volumes" -}}
- { name: config, configMap: { name: {{ include "mesh.name" . }}-config } }
- { name: logs, emptyDir: { sizeLimit: 2Gi } }
- { name: tmp, emptyDir: { sizeLimit: 4Gi } }
{{- with .Values.meshTls.existingSecret }}
- { name: mesh-tls, secret: { secretName: {{ . }}, defaultMode: 0440 } }
{{- end }}
{{- end }}

{{- define "mesh.spread" -}}
topologySpreadConstraints:
  - { maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: ScheduleAnyway, labelSelector: { matchLabels: { {{- include "mesh.selector" . | replace "\n" ", " -}} } } }
{{- end }}
