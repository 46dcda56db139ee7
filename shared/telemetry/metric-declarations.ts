// Every metric of hub and spoke, once: name, kind, help and labels. Labels are closed sets; a package name, a person or a
// path is never one. A test compares these lists with the names and labels that the code uses.

export type MetricKind = 'counter' | 'gauge' | 'histogram';

export interface MetricDeclaration {
  readonly kind: MetricKind;
  readonly help: string;
  readonly labels: readonly string[];
  /** Upper bounds in seconds; histograms only. */
  readonly buckets?: readonly number[];
  /** What the gauges of several processes make together; their sum when absent. */
  readonly across?: 'max' | 'min';
}

const FAST = [0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10];

function counter(help: string, ...labels: readonly string[]): MetricDeclaration {
  return { kind: 'counter', help, labels };
}
function gauge(help: string, ...labels: readonly string[]): MetricDeclaration {
  return { kind: 'gauge', help, labels };
}
/** A gauge that several processes each have in full: the highest one counts, or the lowest. */
function gaugeAcross(across: 'max' | 'min', help: string): MetricDeclaration {
  return { kind: 'gauge', help, labels: [], across };
}
function histogram(help: string, ...labels: readonly string[]): MetricDeclaration {
  return { kind: 'histogram', help, labels, buckets: FAST };
}

export const HUB_METRICS = {
  weir_hub_alarms_total: counter('Events that someone should look at', 'kind'),
  weir_hub_joins_total: counter('Spokes that joined'),
  weir_hub_renewals_total: counter('Certificates renewed'),
  weir_hub_connections_refused_total: counter('Federation connections refused', 'reason'),
  weir_hub_federation_connections: gauge('Open federation connections'),
  weir_hub_spokes_connected: gauge('Spokes with an open watch stream on this replica'),
  weir_hub_offers_sent_total: counter('Bundle offers written to watch streams, keep-alives included'),
  weir_hub_layer_bytes_sent_total: counter('Bytes of layers sent'),
  weir_hub_activation_reports_total: counter('Reports of spokes on offered bundles', 'stage', 'outcome'),
  weir_hub_nacks_reported_total: counter('Status reports that carry a refusal'),
  weir_hub_rpc_seconds: histogram('Federation calls by method and gRPC status', 'method', 'code'),
  weir_hub_admin_seconds: histogram('Admin calls by method and status', 'method', 'code'),
  weir_hub_admin_refused_total: counter('Admin calls refused before a handler ran', 'reason'),
  weir_hub_bundles_published_total: counter('Bundles published', 'unit'),
  weir_hub_audit_rows_total: counter('Audit rows committed', 'unit'),
  weir_hub_audit_repeated_total: counter('Audit rows that arrived again after they were committed', 'unit'),
  weir_hub_audit_nacks_total: counter('Batches of audit rows refused', 'code'),
  weir_hub_audit_store_seconds: histogram('Storing a batch of audit rows, waiting for its turn included'),
  weir_hub_push_rows_total: counter('Audit rows that a sink took', 'sink'),
  weir_hub_push_failures_total: counter('Failed attempts to push audit rows', 'sink'),
  weir_hub_push_refused_total: counter('Audit rows that a sink refuses for good', 'sink'),
  weir_hub_push_missing_rows_total: counter('Audit rows that left the database before they were pushed', 'sink'),
  weir_hub_push_lag_rows: gauge('Stored audit rows that a sink has not taken', 'sink'),
  weir_hub_push_lag_seconds: gauge('Time since the oldest row of the last batch was stored', 'sink'),
  weir_hub_push_healthy: gauge('1 while a sink takes rows, 0 while its breaker is open or it refuses a row', 'sink'),
  weir_hub_audit_alarms_total: counter('Alarms raised about audit logs', 'kind'),
  weir_hub_audit_retries_total: counter('Commits of audit rows that were tried again'),
  weir_hub_audit_held_bytes: gauge('Bytes of audit rows that arrived and are not answered yet'),
  weir_hub_audit_tile_faults_total: counter('Logs whose leaves no longer give their root, seen while making tiles'),
  weir_hub_audit_copy_seconds: histogram('One turn of the write-once copy over all logs', 'target'),
  weir_hub_audit_copy_failures_total: counter(
    'Logs that a turn of the write-once copy could not bring up to date',
    'target',
  ),
  weir_hub_audit_copy_unverified_rows: gauge('Rows that are not yet read back from the write-once copy', 'target'),
  weir_hub_audit_removed_rows_total: counter('Audit rows that retention removed after they were verified in the copy'),
  weir_hub_leading: gauge('1 while this hub leads a background job', 'job'),
  weir_hub_leader_changes_total: counter('Times this hub began or ceased to lead a background job', 'job'),
} as const satisfies Readonly<Record<string, MetricDeclaration>>;

export const SPOKE_METRICS = {
  weir_spoke_decisions_total: counter('Recorded answers to requests', 'outcome', 'level', 'registry'),
  weir_spoke_decision_seconds: histogram('Time from a request to its recorded answer', 'route'),
  weir_spoke_rows_unrecorded_total: counter('Answers whose row could not be made durable', 'mode'),
  weir_spoke_engine_events_total: counter('Failures of policy layers, strikes and quarantines', 'kind'),
  weir_spoke_workers: gauge('Workers that serve requests'),
  weir_spoke_workers_wanted: gauge('Workers that should serve requests'),
  weir_spoke_workers_failing: gauge('Workers that end again and again'),
  weir_spoke_worker_ends_total: counter('Workers that ended although nobody asked them to'),
  weir_spoke_staleness: gaugeAcross('max', 'Staleness of the active bundle: 0 fresh, 1 warn, 2 restrict, 3 deny'),
  weir_uplink_connected: gaugeAcross('max', '1 while a watch stream to the hub is open'),
  weir_spoke_spool_used_bytes: gauge('Bytes of rows in the audit spool'),
  weir_spoke_spool_free_bytes: gauge('Bytes of rows that the audit spool still takes'),
  weir_spoke_spool_pending_bytes: gauge('Bytes of rows waiting for their batch'),
  weir_spoke_spool_batches: gauge('Durable writes since the start'),
  weir_spoke_spool_refused_rows: gauge('Rows refused by the audit spool since the start'),
  weir_spoke_spool_healthy: gaugeAcross('min', '1 while the audit spool takes rows, 0 when it is full or has failed'),
  weir_spoke_spool_unreceipted_bytes: gauge('Bytes of audit rows that the hub has not receipted'),
  weir_spoke_spool_nearly_full: gaugeAcross(
    'max',
    '1 from 80 % of the audit spool taken by unreceipted rows until 70 %',
  ),
  weir_spoke_audit_receipts_refused_total: counter('Answers of the hub on audit rows that could not be believed'),
  weir_spoke_audit_hub_losses_total: counter('Times the hub lacked audit rows that it had receipted'),
  weir_spoke_audit_epochs_total: counter('Audit logs that were followed by another', 'reason'),
  weir_spoke_audit_damages: gauge('Damages of the audit log that nobody has accepted'),
  weir_spoke_audit_upload_failures_total: counter('Interrupted or refused audit uploads'),
  weir_spoke_audit_unacknowledged_rows: gauge('Audit rows that the hub has not committed yet'),
  weir_bundle_stages_total: counter('Stages that offered bundles reached', 'stage'),
  weir_bundle_stage_seconds: histogram('Time to reach a stage from the one before', 'stage'),
  weir_bundle_refusals_total: counter('Bundles refused, offered or on disk', 'nack'),
  weir_bundle_boots_total: counter('Starts by where the bundle came from', 'from'),
  weir_bundle_epoch: gaugeAcross('min', 'Epoch of the active bundle'),
  weir_bundle_version: gaugeAcross('min', 'Version of the active bundle'),
  weir_bundle_expires_seconds: gaugeAcross('min', 'Unix time at which the active bundle expires'),
  weir_spoke_http_requests_total: counter('Requests handed to the pipeline'),
  weir_spoke_http_refused: gauge('Requests answered with a status of 400 or above since the start'),
  weir_spoke_http_served_bytes: gauge('Bytes of bodies handed to clients since the start'),
  weir_spoke_rows: gauge('Rows of requests recorded since the start'),
  weir_spoke_http_connections: gauge('Open connections on the registry port'),
  weir_spoke_http_dropped_total: counter('Connections closed at once because too many were open'),
  weir_spoke_http_turned_away_total: counter('Requests answered before they reached the pipeline', 'fault'),
  weir_spoke_http_failures_total: counter('Requests that failed in an unforeseen way'),
  weir_spoke_http_tls_failures_total: counter('Failed TLS handshakes on the registry port'),
  weir_spoke_upstream_seconds: histogram(
    'Time until upstream had answered: index documents whole, artifacts by header',
    'registry',
  ),
  weir_spoke_upstream_failures_total: counter('Failed requests to upstream', 'registry', 'code'),
  weir_spoke_upstream_in_flight: gauge('Requests to upstreams under way'),
  weir_spoke_metadata_requests_total: counter('Index documents by where they came from', 'outcome'),
  weir_spoke_metadata_memory_bytes: gauge('Memory taken by index documents'),
  weir_spoke_metadata_disk_bytes: gaugeAcross('max', 'Disk taken by index documents'),
  weir_spoke_cache_requests_total: counter(
    'Artifacts asked of the cache: hit, miss or joined to a download',
    'outcome',
  ),
  weir_spoke_cache_bytes: gaugeAcross('max', 'Bytes of stored artifacts'),
  weir_spoke_cache_entries: gaugeAcross('max', 'Stored artifacts'),
  weir_spoke_cache_fills: gauge('Downloads of artifacts under way'),
  weir_spoke_cache_fill_failures_total: counter('Downloads of artifacts that failed', 'code'),
  weir_spoke_cache_evicted_total: counter('Stored artifacts removed to make room'),
  weir_spoke_cache_corrupt_total: counter('Stored artifacts found damaged and removed'),
  weir_spoke_cache_store_failures_total: counter('Fetched artifacts that were served but could not be stored'),
  weir_spoke_cache_journal_failures_total: counter('Failed writes to the journal of the artifact cache'),
  weir_spoke_hot_bytes: gauge('Memory taken by small objects ready to be sent'),
  weir_spoke_hot_evicted_total: counter('Small objects removed from memory to make room'),
} as const satisfies Readonly<Record<string, MetricDeclaration>>;

export const METRICS = { ...HUB_METRICS, ...SPOKE_METRICS } as const;
