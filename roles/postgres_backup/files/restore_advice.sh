# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
#
# What a person can do about an error of PostgreSQL's in a restore.
# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables are shared with the other files

# restore_advice MESSAGE [LOST]: what a person can do about an error of psql's: by its SQLSTATE, which is the same in every
# language of the server (PostgreSQL documentation, appendix A), and by the kind of object that it begins with. LOST is
# psql_failure's.
restore_advice() {
    if [ "${2:-no}" = yes ]; then restore_advice_gone; return; fi
    error_state=$(sqlstate "$1")
    error_text=${1#*: "$error_state": }
    case $error_state:$step in
        22023:create | 22P05:create | 22021:create | 42809:create)
            echo "The server cannot make a database of that encoding or locale: use an image that has them."; return ;;
        55006:create) echo "Somebody is connected to the database template0: end those sessions, and start the restore again."; return ;;
    esac
    case $1 in
        *'unsupported startup parameter'*)
            echo "That is a connection pooler, such as PgBouncer: restores need the server itself. Set postgres_backup_host to it."; return ;;
    esac
    case $error_state in
        42704) case $error_text in
            'role "'*'" does not exist'*) echo "Create that role, or set create_roles." ;;
            'unrecognized configuration parameter '*)
                echo "Something in the database reads a setting that only a session has: give it to the database in the live server (ALTER DATABASE ... SET), and make a new backup; or to the role that restores (ALTER ROLE ... SET), which helps with this backup too." ;;
            *'not a valid encoding'*) echo "The server cannot make a database of that encoding: use an image that can." ;;
            'tablespace "'*) echo "Create that tablespace (CREATE TABLESPACE)." ;;
            *) restore_advice_missing ;;
        esac ;;
        42883 | 42P01 | 3F000 | 42703) restore_advice_missing ;;
        58P01 | 0A000) case $error_text in
            *'row-level security'*) restore_advice_rights ;;
            *extension* | *'could not access file'* | *'could not load library'*)
                echo "Install that extension on the server, in the version that the backed-up server had: the package that has its files." ;;
            *) echo "The server lacks what the message names: another version, or built without it. Use the image of the server that was backed up." ;;
        esac ;;
        42710 | 42P07 | 42P06 | 42723 | 42P04 | 42712)
            echo "The object was there before the backup's text made it, most often by an extension of another version than the backed-up server's: install the same version, and start the restore again." ;;
        23505) echo "Two rows of the backup have the same key, or an extension made the row before. Look for duplicates in the table that was backed up (a damaged index hides them: REINDEX tells), mend it, and make a new backup; or use an older one." ;;
        23503) echo "Rows of the backup refer to rows that are not in it: the constraint did not hold in the database that was backed up either (disabled triggers, session_replication_role). Mend the rows there, and make a new backup; or use an older one." ;;
        23*) echo "Rows of the backup do not fulfil the constraint that the message names: it calls a function that gives another answer now, or was broken in the database that was backed up. Mend it there, and make a new backup; or use an older one." ;;
        53100 | 58030) echo "Free disk space on the server's volume: a restore needs as much as the database once more." ;;
        53200) case $error_text in
            *'shared memory'*) echo "Raise max_locks_per_transaction on the server, and restart it." ;;
            *) echo "The server ran out of memory: raise its memory limit, or lower maintenance_work_mem." ;;
        esac ;;
        53300) echo "The server has no connection left: raise max_connections, or end some." ;;
        53400) echo "The server's setting that the message names is too low for this restore: raise it (temp_file_limit, for instance)." ;;
        57014) echo "Somebody or a setting cancelled the statement: look at the server's log for who did, and start the restore again." ;;
        25006) echo "The server takes no changes: it is a standby. Set postgres_backup_host to the primary." ;;
        25P03 | 25P04 | 57P05) echo "A time limit of the server ended the session: look at its timeouts (pg_settings), and start the restore again." ;;
        42501) restore_advice_rights ;;
        0L*) echo "Roles of this server do not have the memberships or rights that the backup's grants need: compare the roles of both servers, and grant what is missing." ;;
        42602) echo "A library of the server reserves that setting's prefix and does not know the setting: use the version of the library that the backed-up server had." ;;
        22*) echo "The server does not take a value of the backup: an extension's type or a function is another version's, the encoding is another one, or the backup was changed. Use the image of the server that was backed up; fetch the backup with verify to see that it is complete." ;;
        55006 | 55P03) echo "Another session uses the object: end it (pg_stat_activity, pg_locks), and start the restore again." ;;
        55P02 | 55000) restore_advice_setup ;;
        3D000) echo "The database that the message names is gone: did somebody drop it? Start the restore again." ;;
        P0*) echo "A function of the database or of an extension refused: see its text for what it demands. Dumps are restored with an empty search_path, and tables are filled one after another." ;;
        XX001 | XX002) echo "The server found damaged data of its own: look at its log and its storage." ;;
        XX*) case $error_text in
            *shared_preload_libraries* | *'must be preloaded'*) restore_advice_setup ;;
            *'could not load library'*) echo "A library of that extension does not work on the server: install the extension's package there, in the version that the backed-up server had, with what it needs." ;;
            *) echo "PostgreSQL or an extension met an error of its own: look at the server's log, and for a newer minor version of both." ;;
        esac ;;
        57P01 | 57P02 | 08*) restore_advice_gone ;;
        57P03) printf '%s\n' "$ADVICE_NOT_READY" ;;
        42*) echo "The server does not understand the statement: it is another version, or an extension's. Use the image of the server that was backed up." ;;
        *) case $1 in
            *'closed the connection'* | *'terminating connection'* | *'connection to server was lost'*) restore_advice_gone ;;
            *'could not access file'*) echo "The database's session_preload_libraries or local_preload_libraries name a library that the server does not have: install it, in the version that the backed-up server had." ;;
            # A connection; psql_error left out its first word, and a space.
            *) postgres_advice "psql: $(printf '%s\n' "$1" | sed -e 's/FATAL: /FATAL:  /')" ;;
        esac ;;
    esac
}

restore_advice_setup() { echo "The server is not set up for what the message names (a library in shared_preload_libraries, wal_level): set it as on the server that was backed up, and restart it."; }

restore_advice_missing() {
    echo "What the message names is not found. Either an extension of the server is older than the backed-up server's: install the same version. Or a function, a view or an index names it without its schema: dumps are restored with an empty search_path. Then write the schema there, or give the function SET search_path, in the live database, and make a new backup; this one restores by hand with psql, which goes on behind an error without ON_ERROR_STOP: then make what is missing."
}

# restore_advice_rights: a superuser's statement lacks a right only where it runs with an owner's.
restore_advice_rights() {
    if [ "${is_superuser:-no}" = yes ]; then
        echo "The statement runs with the rights of an object's owner (a materialized view is filled with them, for instance), who lacks the right here: grant it to that role, or BYPASSRLS where it is row-level security (ALTER ROLE ... BYPASSRLS), start the restore again, and take it back."
        return
    fi
    echo "Restore as a superuser: set postgres_backup_user. Where the provider has none: a role with BYPASSRLS that is a member of the database's roles; what only superusers may do must then be left out by hand."
}

restore_advice_gone() { echo "PostgreSQL went away in the middle: look at its log (restart, out of memory, crash), and start the restore again."; }
