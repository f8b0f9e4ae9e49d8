module homelab.example/postgres-backup/cluster/pause

go 1.26.0
