# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Who runs each command that the pages show. A command that nobody claims fails test_commands.py."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Claim:
    """`test` runs the command, or one that differs only in names; without it, `reason` is why no test does."""

    test: str = ""
    reason: str = ""


# tests/cluster/playbooks/test_documented_commands.py takes these off the page and runs them, in their order.
RUN = Claim(test="tests/cluster/playbooks/test_documented_commands.py")
RUNBOOK = Claim(test="tests/cluster/role/test_runbook.py::test_runbook_commands_do_what_they_say")
MANY = Claim(test="tests/cluster/playbooks/test_playbooks.py::test_five_installations_in_one_play")
ONE = Claim(test="tests/cluster/playbooks/test_playbooks.py::test_one_installation_without_an_inventory")
NFS = Claim(
    test="tests/unit/roles/postgres_backup/test_objects.py::test_an_nfs_share_gets_a_volume_that_only_its_claim_can_have"
)
README = Claim(
    test="tests/cluster/playbooks/test_documented_commands.py::test_commands_of_readme_security_and_troubleshooting"
)
FUTURE = Claim(test="tests/cluster/modules/test_backup_job.py::test_backups_dated_in_the_future_are_cleared")
DISASTER = Claim(test="tests/cluster/playbooks/test_disaster.py::test_from_a_file_to_every_row")
TABLES = Claim(test="tests/cluster/modules/test_restore_table.py::test_playbook_puts_lost_rows_back")
BACKUP_USER = Claim(test="tests/cluster/playbooks/test_backup_user.py::test_created_used_kept_and_rotated")
UPGRADE = Claim(test="tests/cluster/playbooks/test_upgrade_rehearsal.py::test_ready_and_not_ready")
SERVERS = Claim(test="tests/cluster/servers/test_cloudnativepg.py::test_what_is_found")
UNPROTECTED = Claim(
    test="tests/cluster/playbooks/test_unprotected.py::test_a_hundred_servers_and_one_that_is_backed_up"
)
WATCH = Claim(test="tests/cluster/role/test_watch.py::test_a_watched_installation")
COPY = Claim(test="tests/cluster/role/test_copies.py::test_an_installation_with_copies")
RETRIEVE = Claim(test="tests/cluster/role/test_copies.py::test_an_installation_with_copies")
# The files are those of the volume, for which the README shows the same.
PLAIN = Claim(test=RUN.test)
RENDERED = Claim(test="tests/cluster/role/test_rendered.py::test_site_applies_what_is_rendered")
ENCRYPTION = Claim(test="tests/script/run/test_encryption.py::test_each_identity_decrypts_the_dump")
DECRYPTED = Claim(test="tests/cluster/role/test_encryption.py::test_an_installation_with_recipients")
ENCRYPTED_KIT = Claim(test="tests/script/test_kit.py::test_an_encrypted_backup_with_an_identity")
CONTAINERFILE = Claim(reason="needs a registry; the tested image is made of the packages of the Containerfile")
MONITORING = Claim(test="tests/cluster/role/test_monitoring.py::test_metrics_and_their_objects")
RESTIC = Claim(
    test="tests/unit/plugins/module_utils/_copy/test_restic_place.py::test_a_backup_is_a_snapshot_of_its_text"
)
SSH = Claim(reason="needs a server of this name; the tests of SFTP use files that OpenSSH has written")
BENCH = Claim(reason="takes minutes, and a quiet machine; that the benchmark is there is checked")

BENCHMARKS = (
    *("backup", "copies", "databases", "deduplication", "drill", "encryption", "fetch"),
    *("large", "modules", "progress", "role", "verify"),
)
PLAY = "ansible-playbook homelab.postgres_backup."
IDENTITY = "-e postgres_backup_identity_file=identity.txt"
IN_DATA = "-n data"
CLAIMS: dict[str, dict[str, Claim]] = {
    "README.md": {
        "dev/quickstart": Claim(reason="provisions the entire machine; its playbooks and commands are run one by one"),
        ". dev/env": Claim(reason="every test of the cluster part runs in such a shell"),
        f"{PLAY}site": RUN,
        f"{PLAY}site -e postgres_backup_state=absent": RUN,
        f'{PLAY}site -e \'{{"postgres_backup_nfs": {{"server": "192.168.2.2", '
        '"path": "/volume1/k8s-data/postgres-backup"}}\'': NFS,
        "ansible-galaxy collection install git+https://github.com/homelab/postgres_backup": Claim(
            reason="no test reaches it; that it is galaxy.yml's repository is checked, and the artifact is installed"
        ),
        "job=manual-$(date +%Y%m%d-%H%M%S)": RUN,
        'kubectl create job --from=cronjob/postgres-backup "$job" -n data': RUN,
        'kubectl wait --for=condition=complete "job/$job" -n data --timeout=10m': RUN,
        'kubectl logs "job/$job" -n data': RUN,
        "sha256sum -c *.sha256": RUN,
        f"{PLAY}verify": RUN,
        f"{PLAY}unprotected": UNPROTECTED,
        f"{PLAY}report": ONE,
        f"{PLAY}notify_test": WATCH,
        f"{PLAY}copy": COPY,
        f"{PLAY}retrieve -e postgres_backup_place=offsite": RETRIEVE,
        f"{PLAY}backup_now": ONE,
        f"{PLAY}backup_now -e postgres_backup_max_age=24h": ONE,
        f"{PLAY}retention": ONE,
        f"{PLAY}retention -e postgres_backup_retention_apply=true": RUN,
        f"{PLAY}drill": RUNBOOK,
        f"{PLAY}restore": RUNBOOK,
        f"{PLAY}upgrade_rehearsal -e postgres_backup_upgrade_image=postgres:19": UPGRADE,
        f"{PLAY}restore_table -e postgres_backup_restore_database=shop "
        "-e postgres_backup_restore_tables=public.orders": TABLES,
        f"{PLAY}disaster -e postgres_backup_restore_file=backups/NAME.sql.gz": DISASTER,
        f"{PLAY}backup_user": BACKUP_USER,
        "ansible localhost -m homelab.postgres_backup.backup_info": RUN,
        "ansible-playbook -i inventory homelab.postgres_backup.site -e postgres_backup_hosts=postgres": MANY,
        "ansible-playbook -i inventory homelab.postgres_backup.verify -e postgres_backup_hosts=postgres": MANY,
        f'{PLAY}verify -e postgres_backup_verify_file="$(ls backups/postgres-backup-*.sql.gz | tail -n 1)" '
        "-e postgres_backup_max_age=26h": RUN,
        "dev/test": Claim(reason="it is what runs this"),
    },
    "docs/architecture.md": {
        "dd if=BACKUP.sql.gz bs=1M iflag=skip_bytes,count_bytes,fullblock skip=OFFSET_BYTES count=LENGTH_BYTES "
        "| gzip -dc": Claim(test="tests/docs/test_manifest.py::test_command_reads_one_part"),
    },
    "docs/benchmarks.md": {f"dev/bench {name}": BENCH for name in BENCHMARKS},
    "docs/gitops.md": {
        f"{PLAY}site -e postgres_backup_state=rendered -e postgres_backup_server=none "
        "-e postgres_backup_applied_by=argocd -e postgres_backup_image=registry.example/postgresql:18 "
        "-e postgres_backup_storage_class=nfs-client": RENDERED,
        "kubectl apply -k applications/postgres --dry-run=server --validate=strict": RENDERED,
    },
    "docs/managed-servers.md": {
        "psql --set=ON_ERROR_STOP=1 --set=backup_user=postgres_backup --dbname=shop --file=backup-user.sql": Claim(
            test="tests/script/run/test_inspection.py::test_the_sql_for_an_administrator"
        ),
    },
    "docs/migrating.md": {
        f"{PLAY}retention": RUN,
        'ansible localhost -m homelab.postgres_backup.backup_fetch -a "dest=before.sql.gz verify=true"': RUN,
        "kubectl get cronjob postgres-backup -n data "
        "-o jsonpath='{.spec.jobTemplate.spec.template.spec.volumes}{\"\\n\"}'": RUN,
        f"{PLAY}site --check --diff -e postgres_backup_claim_name=pgdump": RUN,
        f"{PLAY}site -e postgres_backup_claim_name=pgdump": RUN,
        f"{PLAY}backup_now": RUN,
        f"{PLAY}drill": RUNBOOK,
        f"{PLAY}site -e postgres_backup_claim_name=pgdump -e postgres_backup_state=absent": README,
    },
    "docs/monitoring.md": {
        "prometheus-node-exporter --collector.textfile.directory=/volume1/k8s-data/postgres-backup": Claim(
            test="tests/script/run/test_metrics_scraped.py::test_every_query_returns_something"
        ),
        "kubectl get prometheusrule -n data postgres-backup -o jsonpath='{.spec}' >postgres-backup.rules.json": (
            MONITORING
        ),
        "kubectl get configmap -n data postgres-backup-dashboard "
        "-o jsonpath='{.data.postgres-backup-data-postgres-backup\\.json}' >dashboard.json": MONITORING,
    },
    "docs/copies.md": {
        "kubectl create secret generic postgres-backup-offsite -n data "
        "--from-file=access_key_id --from-file=secret_access_key": COPY,
        'ssh-keygen -t ed25519 -N "" -f id_ed25519': SSH,
        "ssh-keyscan -p 22 nas2.example.com >known_hosts": SSH,
        "ssh-keygen -l -f known_hosts": SSH,
        "kubectl create secret generic postgres-backup-nas2 -n data "
        "--from-file=private_key=id_ed25519 --from-file=known_hosts": COPY,
        f"{PLAY}copy": COPY,
        "restic -r sftp:backup@nas2.example.com:restic/data snapshots --host postgres-backup": RESTIC,
        "restic -r sftp:backup@nas2.example.com:restic/data dump 4bba301e postgres-backup-2026-11-22-020000.sql "
        "| psql --username=postgres postgres": RESTIC,
        f"{PLAY}drill -e postgres_backup_place=offsite "
        "-e postgres_backup_drill_backup=postgres-backup-2026-10-01-020000.sql.gz": RETRIEVE,
        f"{PLAY}retrieve -e postgres_backup_place=offsite": RETRIEVE,
        f"{PLAY}drill": RUNBOOK,
        f"{PLAY}retrieve -e postgres_backup_place=offsite "
        "-e postgres_backup_retrieve_backup=postgres-backup-2026-11-22-020000.sql.gz": RETRIEVE,
        f"{PLAY}disaster -e postgres_backup_place=offsite": RETRIEVE,
        "sha256sum -c postgres-backup-2026-11-22-020000.sql.gz.sha256": PLAIN,
        "gunzip -c postgres-backup-2026-11-22-020000.sql.gz | psql --username=postgres postgres": PLAIN,
    },
    "docs/notifications.md": {
        "kubectl create secret generic postgres-backup-ntfy -n data "
        "--from-literal=url=https://ntfy.home.example/backups --from-file=token=ntfy-token": WATCH,
        "kubectl create secret generic postgres-backup-ping -n data "
        "--from-literal=url=https://hc.home.example/ping/3f0c8b7a": WATCH,
        f"{PLAY}notify_test": WATCH,
    },
    "docs/report.md": {
        f"{PLAY}report": ONE,
        "ansible-playbook -i inventory homelab.postgres_backup.report -e postgres_backup_hosts=postgres": MANY,
    },
    "docs/security.md": {
        "kubectl get cronjob postgres-backup -n data "
        '-o jsonpath=\'{.spec.jobTemplate.spec.template.spec.securityContext}{"\\n"}'
        '{.spec.jobTemplate.spec.template.spec.containers[0].securityContext}{"\\n"}\'': RUN,
        "kubectl auth can-i --list --as=system:serviceaccount:data:postgres-backup -n data": RUN,
        f"{PLAY}backup_user --check --diff": BACKUP_USER,
        f"{PLAY}backup_user": BACKUP_USER,
        "kubectl apply -n data -f docs/examples/rbac/operate.yaml": RUN,
        "kubectl create rolebinding postgres-backup-operator -n data --role=postgres-backup-operator --user=alice "
        "--dry-run=client -o yaml | kubectl apply -n data -f -": RUN,
        "kubectl auth can-i create jobs -n data --as=alice": RUN,
        "kubectl create job --from=cronjob/postgres-backup network-test -n data --dry-run=client -o yaml | sed "
        "-e '/^  ownerReferences:$/,/^    uid: /d' -e '/^    app.kubernetes.io.instance: /d' "
        "-e 's|component: backup$|component: drill|' "
        "-e 's|^\\( *- \\)/opt/postgres-backup/backup.sh$|\\1-c|' "
        "-e 's|^\\( *- \\)run$|\\1pg_isready -h \"$POSTGRES_BACKUP_HOST\" -U postgres -t 5 \\|\\| true|' "
        "| kubectl create -f -": RUN,
        "kubectl wait --for=condition=complete job/network-test -n data --timeout=2m": RUN,
        "kubectl logs job/network-test -n data": RUN,
        "kubectl delete job network-test -n data": RUN,
    },
    "docs/servers.md": {
        f"{PLAY}site -e postgres_backup_namespace=shop": SERVERS,
        f"{PLAY}backup_user": BACKUP_USER,
    },
    "docs/encryption.md": {
        "age-keygen --output identity.txt": ENCRYPTION,
        "age --decrypt --identity identity.txt BACKUP.sql.gz.age | gunzip | psql postgres": ENCRYPTION,
        f"{PLAY}restore -e postgres_backup_restore_database=shop {IDENTITY}": DECRYPTED,
        f"{PLAY}disaster -e postgres_backup_place=offsite {IDENTITY}": DECRYPTED,
        f"{PLAY}verify {IDENTITY}": DECRYPTED,
        f"{PLAY}drill {IDENTITY}": DECRYPTED,
        "age-keygen --output drill.txt": ENCRYPTION,
        f"kubectl create secret generic drill-identity {IN_DATA} --from-file=identity=drill.txt": DECRYPTED,
        "export POSTGRES_BACKUP_IDENTITY_FILE=identity.txt": ENCRYPTED_KIT,
        "sh restore-kit.sh check postgres-backup-2026-11-22-020000.sql.gz.age": ENCRYPTED_KIT,
        "sh restore-kit.sh restore postgres-backup-2026-11-22-020000.sql.gz.age": ENCRYPTED_KIT,
    },
    "docs/tools-image.md": {
        "podman build --tag registry.example.com/postgres-backup-tools:1 docs/examples/tools-image": CONTAINERFILE,
        "podman push registry.example.com/postgres-backup-tools:1": CONTAINERFILE,
        "podman push --digestfile digest registry.example.com/postgres-backup-tools:1": CONTAINERFILE,
        'echo "registry.example.com/postgres-backup-tools@$(cat digest)"': CONTAINERFILE,
    },
    "docs/upgrades.md": {f"{PLAY}upgrade_rehearsal -e postgres_backup_upgrade_image=postgres:19": UPGRADE},
    "docs/troubleshooting.md": {
        "kubectl get cronjobs,jobs,pods -n data -l app.kubernetes.io/part-of=home-lab": RUN,
        "kubectl get events -n data --sort-by=.lastTimestamp": RUN,
        "kubectl exec job/backup-reader -n data -- rm /backups/NAME.sql.gz /backups/NAME.sql.gz.sha256": FUTURE,
        "kubectl exec job/backup-reader -n data -- sh -c "
        "'mv /backups/NAME.sql.gz /backups/TRUE.sql.gz && rm /backups/NAME.sql.gz.sha256'": FUTURE,
    },
}
