# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
#
# The extensions that a backup needs, against those of the image.
# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables are shared with the other files

# check_extensions: compares $work/extensions with what the image has: sets `extensions` and `settings` of the result, and
# `missing_extensions`; warns about older versions; restarts the server with the libraries and settings that they need.
check_extensions() {
    extensions='' settings='' missing_extensions=''
    [ -s "${work}/extensions" ] || return 0
    library_folder=$(query_drill "SELECT setting FROM pg_catalog.pg_config WHERE name = 'PKGLIBDIR'")
    # One broken control file in the image, and none can be listed.
    query_drill 'SELECT name, default_version FROM pg_catalog.pg_available_extensions' >"$work/available" || {
        warn "the extensions of the image cannot be listed, and are not compared with those of the backup: $(psql_error "$work/query.err")"
        awk -F "$TAB" -v OFS="$TAB" '{ print $1, "-" }' "$work/extensions" >"$work/available"
    }
    # Each line: NAME VERSION DATABASES IMAGE_VERSION, the two versions - where they are not known.
    awk -F "$TAB" -v OFS="$TAB" '
        # Whether the version `a` is older than `b`: by their numbers.
        function is_older(a, b,    i, n, x, y) {
            if (a == "-" || b == "-") return 0
            split(a, x, /[^0-9]+/)
            n = split(b, y, /[^0-9]+/)
            for (i = 1; i <= n; i++) if (x[i] + 0 != y[i] + 0) return x[i] + 0 < y[i] + 0
            return 0
        }
        FILENAME ~ /available$/ { version[$1] = $2; next }
        { print $1, $2, $4, (($1 in version) ? version[$1] : "-"), (!($1 in version) ? "missing" : is_older(version[$1], $2) ? "older" : "fits") }
    ' "$work/available" "$work/extensions" >"$work/compared"
    # Those that do not fit first: a result has at most 64 KiB.
    extensions=$({ grep -v "${TAB}fits$" "$work/compared"; grep "${TAB}fits$" "$work/compared"; } | head -n 200 | awk -F "$TAB" '
        function value(text) { return text == "-" ? "null" : "\"" text "\"" }
        { printf "%s{\"database\":%s,\"name\":\"%s\",\"version\":%s,\"image_version\":%s}", (NR > 1 ? "," : ""), $3, $1, value($2), value($4) }')
    missing_extensions=$(databases_of missing)
    older_extensions=$(databases_of older)
    [ -z "$missing_extensions" ] || warn "the image lacks the extensions $missing_extensions"
    [ -z "$older_extensions" ] || warn "the image has older versions than the server that was dumped of the extensions $older_extensions"
    live_libraries=$(sed -n 's/.*"shared_preload_libraries":"\([^"]*\)".*/\1/p' "$work/manifest" 2>/dev/null | tr -d ' ' | tr ',' ' ')
    libraries='' : >"$work/settings"
    while IFS=$TAB read -r extension _ extension_database _ <&3; do
        needed_libraries=$(extension_libraries "$extension")
        [ -n "$needed_libraries" ] || case " $live_libraries " in *" $extension "*) needed_libraries=$extension ;; esac
        [ -n "$needed_libraries" ] || continue
        for library in $needed_libraries; do
            [ -e "$library_folder/$library.so" ] || continue 2
            case ",$libraries," in *",$library,"*) ;; *) libraries="$libraries${libraries:+,}$library" ;; esac
        done
        extension_database=${extension_database#\"}
        extension_settings "$extension" "${extension_database%\"}" >>"$work/settings"
    done 3<"$work/compared"
    [ -n "$libraries" ] || return 0
    printf 'shared_preload_libraries = %s\n' "$libraries" >>"$work/settings"
    # The user's own settings win.
    sort -u "$work/settings" | while IFS= read -r setting; do
        printf '%s\n' "$POSTGRES_BACKUP_DRILL_SETTINGS" | grep -q "^ *${setting%% *} *=" || printf '%s\n' "$setting"
    done >"$work/own_settings"
    [ -s "$work/own_settings" ] || return 0
    while IFS= read -r setting; do
        settings="$settings${settings:+,}$(json "$setting")"
        log "set for the extensions: $setting"
    done <"$work/own_settings"
    end_server
    setting_lines <"$work/own_settings" >>"$data/pgdata/postgresql.conf"
    start_server
}

# databases_of RESULT: prints the extensions with that result of the comparison, each with its databases.
databases_of() {
    awk -F "$TAB" -v result="$1" '
        $5 == result {
            if (!($1 in databases)) { order[++count] = $1; text[$1] = result == "older" ? " " $4 " (" $2 " in " : " (" }
            databases[$1] = databases[$1] (databases[$1] == "" ? "" : ", ") $3
        }
        END { for (i = 1; i <= count; i++) printf "%s%s%s%s)", (i > 1 ? ", " : ""), order[i], text[order[i]], databases[order[i]] }' "$work/compared"
}

# query_drill SQL: prints its rows, with tabs between the fields.
query_drill() {
    PGCLIENTENCODING=SQL_ASCII psql --no-psqlrc --no-password --no-align --tuples-only --quiet --field-separator="$TAB" --dbname=postgres --command="$1" 2>"$work/query.err"
}
