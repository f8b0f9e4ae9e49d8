# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
#
# PostgreSQL's programs: their connection parameters, and advice for their messages.
# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables are shared with the other files

ADVICE_KILLED="It was killed. If the pod ran out of memory, raise the limit in postgres_backup_resources: pg_dump holds a complete row in memory, several times over."

ADVICE_NOT_READY="Check that PostgreSQL runs and that its service has a ready pod (kubectl get pods), and postgres_backup_host and postgres_backup_port."

ADVICE_LOCK="Another session holds a lock (see pg_locks and pg_stat_activity): end it, or raise postgres_backup_lock_timeout."

ADVICE_DAMAGE="The data of that database are damaged on the server's disk: keep the older backups, check the server's log and disk, and restore what is damaged from a backup. Until then, leave out the rows of the table that the message names (postgres_backup_exclude_table_data), and the rest of the database is backed up."

# connection DATABASE [PARAMETER ...]: prints a connection string (libpq, "Keyword/Value Connection Strings"): the programs
# read a database name with an equals sign as a connection string.
connection() {
    # shellcheck disable=SC1003 # a backslash before each backslash and apostrophe
    connection_database=$(printf '%s' "$1" | sed -e 's/[\\'"'"']/\\&/g')
    shift
    printf "dbname='%s' %s" "$connection_database" "$*"
}

# database_named OCTAL: sets `database` to the name (a command substitution would cut newlines at its end).
database_named() {
    database=$(printf '%b.' "$1")
    database=${database%.}
}

# query_psql ENCODING [ARGUMENT ...]: runs psql in the database that a run connects to first, with that client encoding, or
# the database's own if it is empty; prints unaligned rows, and stops at the first error.
query_psql() (
    [ -z "$1" ] || export PGCLIENTENCODING="$1"
    shift
    exec psql --no-psqlrc --no-password --tuples-only --no-align --quiet --set=ON_ERROR_STOP=1 \
        --dbname="$(connection "$POSTGRES_BACKUP_DATABASE")" "$@"
)

# postgres_fault MESSAGE [STATUS]: sets, for a message of psql, pg_dumpall or pg_dump, which exited with this status:
#   fault_advice  what a person can do
#   fault_status  the exit status of the run: 2 if another attempt would fail in the same way. (A run with a wrong password
#                 is not retried: if the secret is being changed, the next run succeeds; otherwise, three more attempts would
#                 only delay the error message.)
#   fault_passes  whether the cause may be gone in a moment (yes or no): the standby replays something else, a connection is
#                 free, the server is up again, an object is no longer being dropped
# The patterns follow PostgreSQL's error codes (documentation, appendix A), which these programs do not print.
postgres_fault() {
    fault_status=1
    # Names, which may contain any word, are in double quotes; the text of a query is not an error.
    fault_text=$(printf '%s\n' "$1" | sed -e 's/"[^"]*"/""/g' -e '/^pg_dump[a-z]*: .*[Qq]uery was: /d' -e '/^pg_dump[a-z]*: .*[Cc]ommand was: /d')
    # If a login with TLS is rejected, libpq tries one without TLS (sslmode prefer; the other way round with allow): its
    # rejection by pg_hba.conf is not the cause.
    case $fault_text in
        *'FATAL:  '*"$NEWLINE"*'FATAL:  '* | *'certificate file'*"$NEWLINE"*'FATAL:  '* | *'private key file'*"$NEWLINE"*'FATAL:  '*)
            fault_first=$(printf '%s\n' "$fault_text" | sed -e '/FATAL:  \(no \)*pg_hba.conf .*, no encryption$/d' -e '/FATAL:  \(no \)*pg_hba.conf .*, SSL off$/d')
            case $fault_first in *'FATAL:  '* | *'certificate file'* | *'private key file'*) fault_text=$fault_first ;; esac ;;
    esac
    case $fault_text in
        # Arguments.
        *'Try "" for more information'* | *'pg_dump'*': unrecognized option'* | *'pg_dump'*': invalid option -- '* | *'pg_dump'*': option requires an argument'* | \
            *'pg_dump'*': option '*' requires '* | *'pg_dump'*': option '*'is ambiguous'* | *'pg_dump'*': option '*"doesn't allow an argument"* | *'pg_dump'*': option does not take an argument'* | *'pg_dump'*': error: option'*' cannot be used together'* | \
            *'pg_dump'*': error: too many command-line arguments'* | *'pg_dump'*' must be in range '* | *'pg_dump'*': error: invalid value '* | *'pg_dump'*': error: invalid client encoding '* | \
            *'pg_dump'*': error: could not open filter file '* | *'pg_dump'*'filter read from'* | *'unrecognized output format'*)
            fault 2 "Correct postgres_backup_extra_args or postgres_backup_dump_args: this version of pg_dump or pg_dumpall does not accept them, and every run fails until they are changed." ;;
        *'pg_dump'*': error: no matching '*' were found'* | *'pg_dump'*'improper qualified name'* | *'pg_dump'*'improper relation name'* | *'pg_dump'*'cross-database references are not implemented'*)
            fault 2 "Correct the names of tables, schemas or extensions in postgres_backup_exclude_tables, postgres_backup_exclude_table_data and postgres_backup_dump_args: they are patterns such as public.log_*, and what is to be dumped must exist." ;;
        # Class 28: the right to connect.
        *'no pg_hba.conf entry'* | *'pg_hba.conf rejects '*)
            fault 2 "The server's pg_hba.conf does not allow this user to connect from this address, to that database, or with this postgres_backup_sslmode: add an entry for it. Or leave out that database: postgres_backup_exclude_databases." ;;
        *'password authentication failed'* | *'no password supplied'* | *'no password was provided'* | *'SASL authentication failed'*)
            fault 2 "The password in the secret is not the one on the server: check postgres_backup_secret_name and postgres_backup_secret_key, and the password of the role." ;;
        *'Peer authentication failed'* | *'Ident authentication failed'*)
            fault 2 "The server's pg_hba.conf authenticates this user through the operating system (peer, ident), not by a password: add an entry with scram-sha-256 for it." ;;
        *'certificate authentication failed'* | *'valid client certificate'* | *'certificate required'*)
            fault 2 "The server requires a client certificate from this user (cert or clientcert in its pg_hba.conf): set postgres_backup_ssl_cert to a Secret with one whose common name is the user." ;;
        *'private key file'* | *'could not open certificate file'* | *'could not read certificate file'*)
            fault 2 "Check the client certificate and its key in the Secret of postgres_backup_ssl_cert: two files in PEM that belong together, the key without a passphrase." ;;
        *'alert unknown ca'* | *'alert decrypt error'* | *'alert bad certificate'* | *'alert certificate expired'* | *'alert certificate revoked'* | *'alert certificate unknown'* | *'alert unsupported certificate'*)
            fault 2 "The server does not accept the client certificate of postgres_backup_ssl_cert: it must be valid now, and be issued by a CA in the server's ssl_ca_file." ;;
        *'certificate verify failed'* | *'certificate for "" does not match host name'* | *'certificate for "" (and '*'does not match host name'* | *'root certificate'* | *'certificate file'*)
            fault 2 "Check postgres_backup_sslmode and the CA that verifies the server's certificate (postgres_backup_ssl_ca)." ;;
        *'does not support SSL'*)
            fault 2 "The server does not offer TLS: set postgres_backup_sslmode to prefer or disable, or enable TLS on the server (ssl = on)." ;;
        *'FATAL:  role "" does not exist'* | *'is not permitted to log in'*)
            fault 2 "Create the role on the server (CREATE ROLE … LOGIN), allow it to log in (ALTER ROLE … LOGIN), or set postgres_backup_user to a role that can." ;;
        *'ERROR:  role "" does not exist'* | *'permission denied to set role'*)
            fault 2 "Correct the --role of postgres_backup_extra_args: the role must exist, and postgres_backup_user must be a member of it." ;;
        *'could not translate host name'*': Temporary failure in name resolution'* | *'could not translate host name'*': Try again'*)
            fault 1 "The cluster's DNS does not answer: check its pods (kube-system) and the network policies of the backup's namespace." passes ;;
        *'could not translate host name'*)
            fault 1 "Check postgres_backup_host: the cluster's DNS cannot resolve that name." ;;
        # Class 3D: databases.
        *'psql: '*'database "" does not exist'* | *'psql: '*'is not currently accepting connections'*)
            fault 2 "Set postgres_backup_database to a database that exists and allows connections; the run connects to it first, and dumps all databases." ;;
        *'cannot connect to invalid database'*)
            fault 2 "An interrupted DROP DATABASE left that database invalid: drop it (DROP DATABASE), or set postgres_backup_database to another one." ;;
        *'pg_dump'*'database "" does not exist'* | *'pg_dump'*'is not currently accepting connections'* | *'database with OID '*' does not exist'*)
            fault 1 "That database was dropped or closed to connections during the run: the next attempt reads the list of databases again." ;;
        # Class 53: connections. Poolers answer in their own words.
        *'too many connections'* | *'too many clients'* | *'remaining connection slots'*)
            fault 1 "The server has no connection left for this user: see max_connections, and the CONNECTION LIMIT of the role and of that database (-1 means no limit). A run needs two at a time." passes ;;
        *'unsupported startup parameter'* | *'FATAL:  no such database'* | *'FATAL:  no such user'* | *'statement pooling mode'*)
            fault 2 "A connection pooler answered: set postgres_backup_host and postgres_backup_port to PostgreSQL itself." ;;
        *'server_login_retry'* | *'query_wait_timeout'*)
            fault 1 "A connection pooler answered, but cannot reach its server: set postgres_backup_host and postgres_backup_port to PostgreSQL itself." ;;
        # Class 42: rights.
        *'row-level security'*)
            fault 2 "Row-level security hides rows of that table from this user, and a backup must not lack rows without notice: ALTER ROLE … BYPASSRLS, or leave out the rows of that table: postgres_backup_exclude_table_data." ;;
        *'permission denied for '*pg_authid*)
            fault 2 "The user may not read the passwords of roles: put --no-role-passwords into postgres_backup_extra_args; restored roles then have no passwords." ;;
        *'permission denied for database'*)
            fault 2 "Allow the user to connect to that database (GRANT CONNECT ON DATABASE … TO …), or leave it out: postgres_backup_exclude_databases." ;;
        *'permission denied for large object'*)
            fault 2 "GRANT SELECT ON LARGE OBJECT … TO the user, for each of them: pg_read_all_data does not cover large objects before PostgreSQL 19. Or leave them all out: --no-blobs in postgres_backup_dump_args." ;;
        *'user mapping not found'*)
            fault 2 "CREATE USER MAPPING FOR the user, and GRANT USAGE ON FOREIGN SERVER … TO it, or remove --include-foreign-data." ;;
        *'permission denied for foreign server'* | *'permission denied for foreign-data wrapper'*)
            fault 2 "Allow the user to use it (GRANT USAGE ON FOREIGN SERVER … TO …), or remove --include-foreign-data." ;;
        *'failed to get data for sequence'*)
            fault 2 "GRANT SELECT ON ALL SEQUENCES IN SCHEMA … TO the user, or GRANT pg_read_all_data TO it (PostgreSQL 14 and later). If the sequence was dropped meanwhile, the next run succeeds." ;;
        *'permission denied for '* | *'permission denied to '* | *'must be superuser'* | *'must be owner of'* | *'ERROR:  42501: '*)
            fault 2 "The user may not read everything: GRANT pg_read_all_data TO the user (PostgreSQL 14 and later), or leave out what it may not read: postgres_backup_exclude_tables, postgres_backup_exclude_databases." ;;
        *'newline or carriage return'*)
            fault 2 "pg_dump refuses that name: rename the database or role (ALTER ... RENAME TO)." ;;
        *'server version mismatch'* | *'server version: '*)
            fault 2 "Use an image whose pg_dump is as new as the server (postgres_backup_image)." ;;
        # Classes 40, 55 and 57: other sessions, timeouts, administrators.
        *'conflict with recovery'*)
            fault 1 "The server is a standby, and its WAL replay cancelled the dump: set hot_standby_feedback = on or raise max_standby_streaming_delay there, or set postgres_backup_host to the primary." passes ;;
        *'Hot standby mode is disabled'*)
            fault 2 "The server is a standby that does not answer queries: set hot_standby = on there, or set postgres_backup_host to the primary." ;;
        *'deadlock detected'*)
            fault 1 "Another session changed the same tables, and PostgreSQL ended the dump to let it continue: let them run at different times." passes ;;
        *'lock timeout'*)
            fault 1 "$ADVICE_LOCK" ;;
        *'statement timeout'*)
            case $1 in
                *'LOCK TABLE'*) fault 1 "$ADVICE_LOCK" ;; # how pg_dump implements --lock-wait-timeout
                *) fault 1 "A statement_timeout of the role, the database or the server cancelled a query: ALTER ROLE … SET statement_timeout = 0 for this user." ;;
            esac ;;
        *'terminating connection due to '*' timeout'*)
            fault 1 "A timeout of the server ended the dump's session: ALTER ROLE … SET the timeout that the message names to 0 for this user (idle_session_timeout, transaction_timeout, idle_in_transaction_session_timeout)." ;;
        *'canceling statement due to user request'*)
            fault 1 "Somebody, or a program that ends long queries, cancelled the dump (pg_cancel_backend): exempt this user from it." passes ;;
        # Classes XX and 58: damage. Another attempt reads the same.
        *'Input/output error'*)
            fault 1 "$ADVICE_DAMAGE" ;;
        *'critical system index'* | *'index "" contains '* | *'index "" is not a '* | *'right sibling'* | *'left sibling'* | *'failed to re-find parent key'* | *'could not find tuple for '*)
            fault 2 "An index on the server is damaged: REINDEX it (for an index of a catalog: REINDEX SYSTEM, if necessary in a session with PGOPTIONS=-P, which does without these indexes), and check the server's log and disk." ;;
        *'invalid page in block'* | *'could not read block'* | *'page verification failed'* | *'missing chunk number'* | *'unexpected chunk '* | *'chunk number '*' for toast value'* | *'compressed pglz data is corrupt'* | *'compressed lz4 data is corrupt'* | \
            *'could not access status of transaction'* | *'apparent wraparound'* | *'from before relfrozenxid'* | *'from before relminmxid'* | *'invalid toast'* | *'could not decompress'*)
            fault 2 "$ADVICE_DAMAGE" ;;
        *'could not access file ""'* | *'could not load library'* | *'could not find function "" in file'* | *'extension "" is not available'*)
            fault 2 "The server lacks the library of an extension: install the extension's package there (in the version that the database has), or DROP EXTENSION." ;;
        *'ERROR:  '*'No space left on device'* | *'FATAL:  '*'No space left on device'*)
            fault 1 "The server's own disk is full (not the backup volume): free space there." ;;
        *'temporary file size exceeds'*)
            fault 2 "A query of the dump needs more temporary space than temp_file_limit allows: raise it on the server, or for this user (ALTER ROLE … SET temp_file_limit, as a superuser)." ;;
        *'Too many open files'*)
            fault 1 "The server's machine cannot open more files: lower max_files_per_process or max_connections there, or raise the machine's limit." ;;
        *'ERROR:  could not open file ""'*'No such file'* | *'FATAL:  could not open file ""'*'No such file'* | *'FATAL:  "" is not a valid data directory'* | *'could not open directory ""'*'No such file'*)
            fault 2 "$ADVICE_DAMAGE" ;;
        *'ERROR:  could not open file ""'* | *'ERROR:  could not read file ""'* | *'ERROR:  could not stat file ""'* | *'FATAL:  could not open file ""'* | *'FATAL:  could not read file ""'*)
            fault 1 "The server cannot read one of its files: check its log and its disk." ;;
        # Classes 53 and 54: resources and limits of the server.
        *'out of shared memory'* | *'max_locks_per_transaction'*)
            fault 2 "pg_dump locks every table of a database at once: raise max_locks_per_transaction on the server (and restart it)." ;;
        *'stack depth limit exceeded'*)
            fault 2 "A view or function of that database is nested too deeply for max_stack_depth: raise it on the server, and the stack limit of its process (ulimit -s)." ;;
        *'invalid memory alloc request size'* | *'string buffer exceeds'* | *'Cannot enlarge string buffer'* | *'exceeds the maximum allowed length'*)
            fault 2 "A row is too large to be written as text (1 GB at most), or damaged: check the table that the message names. Until then, leave out its rows (postgres_backup_exclude_table_data), and the rest of the database is backed up." ;;
        *'ERROR:  out of memory'* | *'FATAL:  out of memory'*)
            fault 1 "The server (not this pod) had too little memory for the query: check its log, and raise its memory limit." ;;
        *'pg_dump'*': out of memory'* | *'out of memory for query result'* | *'psql: '*'out of memory'*)
            fault 1 "This pod had too little memory: raise the limit in postgres_backup_resources; pg_dump holds a complete row in memory, several times over." ;;
        # Class 22: encodings.
        *'has no equivalent in encoding'*)
            fault 2 "A text of that database has no equivalent in the requested encoding: remove --encoding (-E) from postgres_backup_extra_args and postgres_backup_dump_args." ;;
        *'invalid byte sequence for encoding'*)
            fault 2 "A text of that database is not valid in the requested encoding (a database with the encoding SQL_ASCII contains any bytes): remove --encoding (-E) from postgres_backup_extra_args and postgres_backup_dump_args, and pg_dump copies the bytes as they are." ;;
        # Changes during the dump.
        *'with OID '*' does not exist'* | *'cache lookup failed'* | *'could not open relation with OID'* | *'ERROR:  relation "" does not exist'* | *'tuple concurrently updated'*)
            fault 1 "An object was dropped during the dump, and the next attempt succeeds. If every run fails in this way, the catalog of that database is damaged: check the server's log." passes ;;
        *'unrecognized configuration parameter'*)
            fault 1 "The server does not know a setting that every PostgreSQL of its version has: is postgres_backup_host a connection pooler or another product? Set it to PostgreSQL itself." ;;
        *'ERROR:  could not connect to server ""'*)
            fault 1 "The live server cannot connect to a foreign server: start that one, or remove --include-foreign-data." ;;
        # Class 08 and 57P: the connection and the server.
        *'Connection refused'* | *'timeout expired'* | *'onnection timed out'* | *'No route to host'* | *'Network is unreachable'* | *'starting up'* | *'shutting down'* | *'in recovery mode'* | *'not yet accepting connections'* | *'not accepting connections'*)
            fault 1 "$ADVICE_NOT_READY" passes ;;
        *'due to administrator command'*)
            fault 1 "Somebody ended the dump's session (pg_terminate_backend), or the server was shut down or switched over: check its log." passes ;;
        *'crash of another server process'*)
            fault 1 "The server crashed and restarted itself: check its log (often it was out of memory)." passes ;;
        *'server closed the connection'* | *'terminating connection'* | *'connection to server was lost'* | *'unexpected eof'* | *'SSL SYSCALL error'* | *'SSL connection has been closed'* | *'Connection reset by peer'* | *'Broken pipe'*)
            fault 1 "The connection to PostgreSQL was lost during the dump: check the server's log (restart, out of memory, crash)." passes ;;
        *'SSL error'* | *'SSL negotiation'* | *'SSL required'*) fault 1 "Check postgres_backup_sslmode, and the server's ssl settings." ;;
        *'Killed'*'pg_dump failed'* | 'pg_dumpall: error: pg_dump failed'* | 'pg_dumpall: error: pg_dump was terminated'*)
            fault 1 "$ADVICE_KILLED" ;; # pg_dump itself printed nothing
        *)
            if [ "${2:-}" = "$SIGKILL_STATUS" ]; then fault 1 "$ADVICE_KILLED"; return; fi
            case $fault_text in
                *'ERROR:  '* | *'FATAL:  '*) fault 1 "Read the message above: it is from the server, and its log may contain more." ;;
                *) fault 1 "Read the message above: it is from PostgreSQL." ;;
            esac ;;
    esac
}

# fault STATUS ADVICE [passes]
fault() {
    fault_status=$1 fault_advice=$2 fault_passes=no
    [ -z "${3:-}" ] || fault_passes=yes
}

# is_refusal MESSAGE: whether the server refused to let this user connect to a database: CONNECT is missing, or pg_hba.conf
# does not allow it.
is_refusal() {
    case $1 in
        *'FATAL:  permission denied for database '* | *'FATAL:  no pg_hba.conf entry'* | *'FATAL:  pg_hba.conf rejects '*) return 0 ;;
        *' authentication failed for user '*) return 0 ;;
    esac
    return 1
}

# postgres_advice MESSAGE: prints the advice for a message.
postgres_advice() {
    postgres_fault "$1"
    printf '%s\n' "$fault_advice"
}

# fail_by_postgres WHAT MESSAGE STATUS: fails with a message of psql or pg_dumpall, which exited with this status.
fail_by_postgres() {
    postgres_fault "$2" "$3"
    fail_with "$fault_status" "$1" "$2" "$fault_advice"
}

# server_error MESSAGE: prints the server's error in a message of pg_dump, in one line, or the message's first line.
server_error() {
    printf '%s\n' "$1" | awk '
        NR == 1 { first = $0 }
        match($0, /(ERROR|FATAL|PANIC):  /) { print substr($0, RSTART); is_found = 1; exit }
        END { if (!is_found) print first }'
}

# pg_dump_errors FILE: prints the errors among the messages of pg_dump or pg_dumpall: without earlier warnings, with the
# first line of a query, and with the server's DETAIL and HINT unless they have values of a row. At most six lines.
pg_dump_errors() {
    [ -s "$1" ] || return 0
    awk '
        BEGIN { is_wanted = is_shown = 1 }
        /^pg_dump(all)?(\.bin)?: / {
            if ($2 != "detail:" && $2 != "hint:") is_wanted = $2 != "warning:" && $2 != "info:"
            if (is_wanted) print
            is_shown = is_wanted && $0 !~ /: ([Qq]uery|[Cc]ommand) was: /
            next
        }
        /^(CONTEXT|LINE [0-9]+|STATEMENT|LOCATION):/ { is_shown = 0; next }
        /^DETAIL:  (Key \(|Failing row|Array value)/ { next }
        /^(DETAIL|HINT):  / { is_shown = is_wanted }
        is_shown
    ' "$1" | head -n 6 | cut -c 1-400
}
