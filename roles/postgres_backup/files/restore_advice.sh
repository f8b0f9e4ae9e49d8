# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
#
# Advice for errors of PostgreSQL in a restore and in a drill.
# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables are shared with the other files

# restore_advice MESSAGE [LOST]: prints the advice for an error of psql: by its SQLSTATE, which is the same in every
# language of the server (PostgreSQL documentation, appendix A), and by the kind of object that it begins with. LOST is
# `is_lost` of psql_failure.
restore_advice() {
    if [ "${2:-no}" = yes ]; then restore_advice_lost; return; fi
    error_state=$(sqlstate "$1")
    error_text=${1#*: "$error_state": }
    case $error_state:$step in
        22023:create | 22P05:create | 22021:create | 42809:create)
            echo "The server cannot create a database with that encoding or locale: use an image that supports them."; return ;;
        55006:create) echo "There are sessions in the database template0: end them, and start the restore again."; return ;;
    esac
    case $1 in
        *'unsupported startup parameter'*)
            echo "A connection pooler answered, such as PgBouncer, but restores need the server itself: set postgres_backup_host (or restore_host) to it."; return ;;
    esac
    case $error_state:$error_text in
        42883:'could not find function "'*)
            echo "The library that the message names has no such function: it is of another version than the backed-up server's. Use the same version of the extension."; return ;;
        XX000:'Cannot find SRID '*)
            echo "A generated column or a constraint of the table uses a coordinate system that was added to spatial_ref_sys, whose rows the dump has after the table. A restore by hand would fail in the same way: in the live database, replace the column or the constraint by a trigger, and make a new backup."; return ;;
    esac
    case $error_state in
        42704) case $error_text in
            'role "'*'" does not exist'*) echo "Create that role, or set create_roles." ;;
            'unrecognized configuration parameter '*)
                echo "Something in the database reads a setting that only a session has: set it for the database on the live server (ALTER DATABASE ... SET), and make a new backup; or for the role that restores (ALTER ROLE ... SET), which works with this backup, too." ;;
            *'not a valid encoding'*) echo "The server cannot create a database with that encoding: use an image that supports it." ;;
            'tablespace "'*) echo "Create that tablespace (CREATE TABLESPACE)." ;;
            *) restore_advice_missing ;;
        esac ;;
        42883 | 42P01 | 3F000 | 42703) restore_advice_missing ;;
        58P01 | 0A000) case $error_text in
            *'row-level security'*) restore_advice_rights ;;
            *extension* | *'could not access file'* | *'could not load library'*)
                echo "Install that extension on the server, in the version that the backed-up server had, with the package that has its files." ;;
            *) echo "The server lacks what the message names: another version, or built without it. Use the image of the server that was backed up." ;;
        esac ;;
        42710 | 42P07 | 42P06 | 42723 | 42P04 | 42712)
            echo "The object existed before the backup created it, usually because an extension has another version than on the backed-up server: install the same version, and start the restore again." ;;
        23505) echo "Two rows of the backup have the same key, or an extension created the row before. Check the table that was backed up for duplicates (a damaged index hides them: REINDEX reports them), repair it, and make a new backup; or use an older one." ;;
        23503) echo "Rows of the backup refer to rows that are not in it: the constraint did not hold in the database that was backed up either (disabled triggers, session_replication_role). Repair the rows there, and make a new backup; or use an older one." ;;
        23514) echo "Rows of the backup do not fulfil the constraint that the message names: it was violated in the database that was backed up, or it calls a function that returns another result in a restore, such as one that reads another table, whose rows may be restored later. A restore by hand would fail in the same way: in the live database, repair the rows, or replace the constraint by a trigger, which is restored after all rows, and make a new backup; or use an older one." ;;
        23*) echo "Rows of the backup do not fulfil the constraint that the message names: it calls a function that now returns another result, or was violated in the database that was backed up. Repair it there, and make a new backup; or use an older one." ;;
        53100 | 58030) echo "Free disk space on the server's volume: a restore needs as much as the database takes." ;;
        53200) case $error_text in
            *'shared memory'*) echo "Raise max_locks_per_transaction on the server, and restart it." ;;
            *) echo "The server ran out of memory: raise its memory limit, or lower maintenance_work_mem." ;;
        esac ;;
        53300) echo "The server has no connection left: raise max_connections, or end some sessions." ;;
        53400) echo "The server's setting that the message names is too low for this restore: raise it (temp_file_limit, for instance)." ;;
        57014) echo "A user or a setting cancelled the statement: check the server's log for the cause, and start the restore again." ;;
        25006) echo "The server is read-only: it is a standby. Set postgres_backup_host to the primary." ;;
        25P03 | 25P04 | 57P05) echo "A timeout of the server ended the session: check its timeouts (pg_settings), and start the restore again." ;;
        42501) restore_advice_rights ;;
        0L*) echo "Roles of this server do not have the memberships or rights that the backup's grants need: compare the roles of both servers, and grant what is missing." ;;
        42602) echo "A library of the server reserves that setting's prefix and does not know the setting: use the version of the library that the backed-up server had." ;;
        22*) echo "The server does not accept a value in the backup: an extension's type or a function has another version, the encoding differs, or the backup was changed. Use the image of the server that was backed up; fetch the backup with verify to check that it is complete." ;;
        55006 | 55P03) echo "Another session uses the object: end it (pg_stat_activity, pg_locks), and start the restore again." ;;
        55P02 | 55000) restore_advice_setup ;;
        3D000) echo "The database in the message does not exist any more: it may have been dropped. Start the restore again." ;;
        P0*) echo "A function of the database or of an extension raised an exception: see its text for what it requires. Dumps are restored with an empty search_path, and tables are filled one after another." ;;
        XX001 | XX002) echo "The server has damaged data: check its log and its storage." ;;
        XX*) case $error_text in
            *shared_preload_libraries* | *'must be preloaded'*) restore_advice_setup ;;
            *'could not load library'*) echo "A library of that extension does not work on the server: install the extension's package there, in the version that the backed-up server had, with its dependencies." ;;
            *'Cannot find SRID'*) echo "A generated column or a constraint needs a row that was added to spatial_ref_sys of PostGIS, and a dump has the rows of that table after those of others. A restore by hand would fail, too: in the live database, drop the column or the constraint, and make a new backup." ;;
            *) echo "An internal error of PostgreSQL or of an extension: check the server's log, and whether a newer minor version of either exists." ;;
        esac ;;
        57P01 | 57P02 | 08*) restore_advice_lost ;;
        57P03) printf '%s\n' "$ADVICE_NOT_READY" ;;
        42*) echo "The server does not support the statement: it is of another version, or its extension is. Use the image of the server that was backed up." ;;
        *) case $1 in
            *'closed the connection'* | *'terminating connection'* | *'connection to server was lost'*) restore_advice_lost ;;
            *'could not access file'*) echo "The database's session_preload_libraries or local_preload_libraries name a library that the server does not have: install it, in the version that the backed-up server had." ;;
            # A connection error; psql_error removed its first word, and a space.
            *) postgres_advice "psql: $(printf '%s\n' "$1" | sed -e 's/FATAL: /FATAL:  /')" ;;
        esac ;;
    esac
}

restore_advice_setup() { echo "The server is not set up for what the message names (a library in shared_preload_libraries, wal_level): set it as on the server that was backed up, and restart it."; }

# restore_advice_missing: dumps are restored with an empty search_path (CVE-2018-1058); since PostgreSQL 17, indexes and
# materialized views are made with another one, whatever the session has (release notes of 17, "Migration").
restore_advice_missing() {
    if [ "${restored_in:-restore}" = drill ]; then
        missing_option="the module's option search_path; postgres_backup_drill_search_path"
    else
        missing_option="the module's option search_path; postgres_backup_restore_search_path"
    fi
    missing_advice="The object in the message was not found. Dumps are restored with an empty search_path: if a function, a trigger, a view or a column names the object without its schema, set the search_path to restore with ($missing_option), such as public, if you trust everybody who may create objects in its schemas (CVE-2018-1058)."
    if [ "${server_version%%[!0-9]*}" -ge 17 ] 2>/dev/null; then
        missing_advice="$missing_advice That does not help indexes and materialized views: PostgreSQL 17 and later make them with the search_path pg_catalog, pg_temp."
    fi
    echo "$missing_advice To cure it in the live database, add the schema to the name, or ALTER FUNCTION ... SET search_path, and make a new backup. Or an extension is older than the backed-up server's: use the same version."
}

# restore_advice_rights: a superuser's statement lacks a right only if it runs with the rights of an owner.
restore_advice_rights() {
    if [ "${is_superuser:-no}" = yes ]; then
        echo "The statement runs with the rights of an object's owner (a materialized view is filled with them, for instance), who lacks the right here: grant it to that role, or BYPASSRLS if row-level security is the cause (ALTER ROLE ... BYPASSRLS), start the restore again, and revoke it."
        return
    fi
    echo "Restore as a superuser: set postgres_backup_user. If the provider does not offer one: use a role with BYPASSRLS that is a member of the database's roles; statements that only superusers may run must then be left out by hand."
}

restore_advice_lost() { echo "The connection to PostgreSQL was lost during the restore: check the server's log (restart, out of memory, crash), and start the restore again."; }

# drill_advice MESSAGE: restore_advice, and what can be done about a temporary server. Connection errors have no SQLSTATE.
drill_advice() {
    restored_in=drill
    error_state=$(sqlstate "$1")
    error_text=${1#*: "$error_state": }
    case $error_state:$error_text in
        58P01:*extension* | 58P01:*'could not access file'* | 0A000:'extension "'* | :*'could not access file'*)
            echo "The image lacks that extension, or a library of session_preload_libraries: use an image that has it (postgres_backup_drill_image, postgres_backup_image, the module's option image), such as the live server's." ;;
        *'shared_preload_libraries'* | *'must be preloaded'* | *'library not loaded'*)
            echo "Name the library in postgres_backup_drill_settings (the module's option settings): shared_preload_libraries." ;;
        53100:* | *'No space left'*)
            echo "The data did not fit: raise postgres_backup_drill_size_limit (the module's option size_limit)." ;;
        53200:*'shared memory'*)
            echo "Raise max_locks_per_transaction in postgres_backup_drill_settings (the module's option settings)." ;;
        53200:*) echo "Raise the memory limit (postgres_backup_resources)." ;;
        42704:'unrecognized configuration parameter '* | 42602:* | 55P02:*)
            echo "PostgreSQL $server_version in the image does not accept that setting of a database or role (a newer version removed it, or its library is missing): use the live server's image, or reset the setting there (ALTER DATABASE or ALTER ROLE ... RESET)." ;;
        22023:parameter* | 22023:'invalid value for parameter'*)
            echo "PostgreSQL $server_version in the image does not accept that value of a setting: use the live server's image, or change the setting there." ;;
        42710:'role "'*)
            echo "The temporary server's superuser ($superuser) is not the superuser in the backup: set its name (the module's option superuser)." ;;
        22023:*locale* | 22023:*collation* | 42809:*locale* | 42704:'collation "'* | 42704:'locale '* | 22023:*encoding*)
            echo "The image lacks that locale: use the live server's image." ;;
        42501:*) echo "The statement runs with the rights of an object's owner (a materialized view is filled with them, for instance), who lacks the right, or BYPASSRLS if row-level security is the cause. A restore by hand would fail in the same way: grant it on the live server, and make a new backup." ;;
        23514:*) restore_advice "$1" ;;
        23*:*) echo "Rows of the backup do not fulfil the constraint that the message names. A restore by hand would fail in the same way: repair the rows in the live database, and make a new backup." ;;
        *) restore_advice "$1" ;;
    esac
}
