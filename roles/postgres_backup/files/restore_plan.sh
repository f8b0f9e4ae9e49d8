# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
#
# What a restore does, found out on the volume: the backup, its hash, where the database is in it, and the facts of the
# database's text (database.awk).
# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables are shared with the other files
# shellcheck disable=SC2329 # stage() and hooks call functions by name

# name_databases TARGET TOKEN TIME: sets the names and the mark of a restore on the server, as restore_plan.py does: RESTORE_TEMPORARY
# (in ASCII), RESTORE_OLD and RESTORE_MARK.
name_databases() {
    RESTORE_TEMPORARY=$(cut_name "$(printf '%s' "$1" | tr -c 'A-Za-z0-9_' '_')" "_restoring_$2")
    RESTORE_OLD=$(cut_name "$1" "_before_restore_$3")
    RESTORE_MARK=postgres_backup.unfinished_restore=$(printf '%s' "$1" | sha256sum | cut -c 1-64)
}

# cut_name NAME ENDING: prints the name with the ending in 63 bytes, cut between two characters of UTF-8.
cut_name() {
    printf '%s' "$1" | head -c $((63 - ${#2})) | awk -v ending="$2" '
        match($0, /[\300-\377][\200-\277]*$/) {
            lead = substr($0, RSTART, 1)
            size = lead >= "\360" ? 4 : lead >= "\340" ? 3 : 2
            if (RLENGTH < size) $0 = substr($0, 1, RSTART - 1)
        }
        { printf "%s%s", $0, ending }'
}

# choose_backup: sets `backup`, `file` and `expected_sha256`: the caller's, else that of the checksum file, if it has one.
choose_backup() {
    [ -e "$work/listing" ] || list_backups
    backup=$RESTORE_BACKUP
    [ -n "$backup" ] || backup=$(newest_with_database)
    [ -n "$backup" ] || fail "no backup holds the database" "none in $POSTGRES_BACKUP_DIR names '$RESTORE_DATABASE'" \
        "Check the name: backup_info lists the databases of each backup."
    case $backup in
        .* | */*) fail "invalid name of a backup" "'$backup'" "Set the name of a file on the volume." ;;
    esac
    file=$POSTGRES_BACKUP_DIR/$backup
    [ -f "$file" ] || fail "the backup is not on the volume" "$backup is not in $POSTGRES_BACKUP_DIR" \
        "List the backups on the volume (backup_info); retention may have deleted it."
    [ -r "$file" ] || fail "the backup cannot be read" "$(ls -l "$file"), running as $(id)" "$ADVICE_PERMISSION"
    listed_backup=$(grep -F "\"name\":\"$backup\"" "$work/listing" | head -n 1)
    case $listed_backup in
        *'"state":"damaged"'*) fail "the backup is damaged" "$backup: $(head -n 1 "$file.damaged" 2>/dev/null)" "Restore the database from another backup." ;;
    esac
    listed_sha256=$(json_field sha256 "$listed_backup" | tr -d '"')
    [ "$listed_sha256" != null ] || listed_sha256=''
    expected_sha256=${RESTORE_SHA256:-$listed_sha256}
    require_readable
    file_before=$(stat -c '%i %s %Y' "$file")
    bytes=$(stat -c %s "$file")
}

list_backups() { listing >"$work/listing" || fail "the volume cannot be listed" "find or awk failed" "Read the messages above."; }

# newest_with_database [BACKUP]: prints the newest backup, other than that one, that holds the database: its manifest names
# it, or it is complete and has no manifest.
newest_with_database() {
    OTHER_THAN="\"name\":\"${1-}\"" awk '
        index($0, ENVIRON["OTHER_THAN"]) { next }
        !index($0, "\"future\":false,\"verdict\":") || index($0, "\"state\":\"damaged\"") { next }
        {
            at = index($0, "\"manifest\":true,\"dumped\":[")
            if (at) {
                list = substr($0, at + 26)
                list = substr(list, 1, index(list, "],\"missing\":[") - 1)
                if (!index("," list ",", "," ENVIRON["RESTORE_DATABASE_JSON"] ",")) next
            } else if (!index($0, "\"state\":\"complete\"")) next
            match($0, /"name":"[^"]*"/)
            print substr($0, RSTART + 8, RLENGTH - 9)
            exit
        }' "$work/listing"
}

# start_hash: starts the step that hashes the file.
start_hash() {
    if [ -n "${RESTORE_KNOWN_SHA256:-}" ]; then
        sha256=$RESTORE_KNOWN_SHA256 hash_checked=yes
        return
    fi
    start_group restore_hash
    hash_group=$group hash_checked=no
}

# step_restore_hash: with a low priority: the restore has to wait for it only at its end.
step_restore_hash() {
    if command -v nice >/dev/null 2>&1; then set -- nice -n 19; fi
    if "$@" sha256sum <"$file" >"$work/sha256.new" 2>"$work/sha256.message"; then mv "$work/sha256.new" "$work/sha256"; fi
}

# check_hash: waits for the hash; sets `sha256`; fails if it is not the expected one.
check_hash() {
    [ "$hash_checked" = no ] || return 0
    hash_checked=yes step_group=$hash_group hash_group=''
    wait_for_step
    step_group=''
    [ -e "$work/sha256" ] || fail "the backup cannot be read" "$(head -n 2 "$work/sha256.message")" "Check the storage behind the volume."
    sha256=$(cut -c 1-64 "$work/sha256")
    [ -n "$expected_sha256" ] && [ "$sha256" != "$expected_sha256" ] || return 0
    if [ -n "$RESTORE_SHA256" ]; then
        fail "the backup on the volume is not the one that was verified" "expected sha256 $expected_sha256, found $sha256 in $backup" \
            "It was changed or damaged since then, or the contents are those of another backup: fetch it with verify again."
    fi
    fail "the backup does not match its checksum file" "$backup: sha256 $sha256, its checksum file has $expected_sha256" \
        "It was damaged or changed after it was made: check the storage, and restore the database from another backup."
}

# fail_with_backup WHAT FOUND ADVICE: fails because of what was read; if the file has another hash, for that reason.
fail_with_backup() {
    check_hash
    fail "$@"
}

# is_manifest_of_file: whether $work/manifest is that of the file; sets `missing_databases` and `dump_major` then.
is_manifest_of_file() {
    [ "$(manifest_fact bytes)" = "$bytes" ] && { [ -z "$listed_sha256" ] || [ "$(manifest_fact sha256)" = "$listed_sha256" ]; } || return 1
    missing_databases=$(manifest_fact missing)
    version_num=$(manifest_fact version_num)
    dump_major=$((${version_num:-0} / 10000))
}

# read_sections: reads the text to its end, and writes the facts of sections.awk; sets `missing_databases`, `dump_major` and
# `globals_bytes`. RESTORE_SECTIONS is a file with the facts, if they are known.
read_sections() {
    if [ -n "${RESTORE_SECTIONS:-}" ]; then
        [ "$RESTORE_SECTIONS" = "$work/sections" ] || cp "$RESTORE_SECTIONS" "$work/sections" || fail "the facts about the backup cannot be copied" "$RESTORE_SECTIONS" "Read the messages above."
    else
        find_text_damage
        [ -z "$damage" ] || fail_with_backup "the backup is not one complete dump of all databases" "$backup: $damage" \
            "Restore the database from another backup. Do not rely on a copy of this one, even if its checksum file matches."
    fi
    dump_major=$(sed -n 's/^version \([0-9]*\).*/\1/p' "$work/sections")
    missing_databases=$(sed -n 's/^missing //p' "$work/sections")
    : "${missing_databases:=[]}"
    globals_bytes=$(awk '$1 == "globals" { printf "%.0f", $2 + $3 }' "$work/sections")
}

# find_text_damage: reads the text to its end, and writes the facts of sections.awk; sets `damage` to why it is not one complete
# dump of all databases.
find_text_damage() {
    clear_stages
    run_group restore_sections
    damage=$(damage_of "$work/sections" "$(tr -d ' \n' <"$work/count" 2>/dev/null)")
    check_status=$(stage_status_of check)
    [ "$check_status" = 0 ] || damage="it cannot be decompressed: $(stage_message_of check)"
    if [ "$check_status" = 2 ] || [ -z "$damage$expected_sha256" ]; then
        ! follows_gzip_data "$file" || damage=$GARBAGE
    fi
}

# find_section: sets where the database is in the backup: `section_offset` and `section_bytes` in the text, and with a
# manifest `part_offset` and `part_bytes` in the file (has_part=yes). Sets `dump_major` and `missing_databases` if they are known.
find_section() {
    has_part=no dump_major='' missing_databases='[]'
    section_offset='' globals_part='' globals_bytes=0
    manifest_facts >"$work/manifest"
    if is_manifest_of_file; then
        globals_part=$(manifest_fact globals)
        section=$(manifest_fact section)
        if [ -z "$globals_part" ] || [ -z "$section" ]; then no_such_section "$(manifest_fact dumped)"; fi
        has_part=yes
        IFS=' ' read -r part_offset part_bytes section_offset section_bytes <<PART
$section
PART
        return
    fi
    read_sections
    sections_named "$RESTORE_DATABASE" >"$work/section"
    [ -s "$work/section" ] || case $RESTORE_DATABASE in *[!\ -~]*) sections_in_encodings >"$work/section" ;; esac
    [ "$(grep -c . "$work/section")" -eq 1 ] || no_such_section "$(listed_sections)"
    IFS=' ' read -r section_offset section_bytes _ <"$work/section"
}

# manifest_facts: prints facts of the manifest, if it is one of this backup.
manifest_facts() {
    [ -f "$file.json" ] || return 0
    MANIFEST_BEGIN="{\"format\":1,\"backup\":\"$backup\"," awk '
        function part(kind,    number) {
            if (!match($0, /"offset_bytes":[0-9]+,"length_bytes":[0-9]+,"text_offset_bytes":[0-9]+,"text_length_bytes":[0-9]+/)) return
            split(substr($0, RSTART, RLENGTH), number, /[^0-9]+/)
            print kind, number[2], number[3], number[4], number[5]
        }
        NR == 1 {
            if (index($0, ENVIRON["MANIFEST_BEGIN"]) != 1) exit
            at = index($0, "\"dumped\":[")
            middle = index($0, "],\"missing\":[")
            end = index($0, "],\"left_out\":")
            if (!at || middle < at || end < middle) exit
            print "dumped " substr($0, at + 9, middle - at - 8)
            print "missing " substr($0, middle + 12, end - middle - 11)
        }
        /^"sha256":"[0-9a-f]+",$/ { print "sha256 " substr($0, 11, length($0) - 12) }
        /^"bytes":[0-9]+,$/ { print "bytes " substr($0, 9, length($0) - 9) }
        /^"server":\{/ && match($0, /"version_num":[0-9]+/) { print "version_num " substr($0, RSTART + 14, RLENGTH - 14) }
        index($0, "{\"kind\":\"globals\",\"name\":null,\"result\":\"dumped\",") == 1 { part("globals") }
        index($0, "{\"kind\":\"database\",\"name\":" ENVIRON["RESTORE_DATABASE_JSON"] ",\"result\":\"dumped\",") == 1 {
            part("section")
            if (match($0, /,"size_bytes":[0-9]+/)) print "section_size " substr($0, RSTART + 14, RLENGTH - 14)
            if (at = index($0, ",\"extensions\":[")) print "section_extensions " substr($0, at + 14)
        }
    ' "$file.json"
}

# manifest_fact NAME
manifest_fact() { sed -n "s/^$1 //p" "$work/manifest"; }

# step_restore_sections: the facts of sections.awk. (pigz omits the last readable part of a damaged file.)
step_restore_sections() {
    [ "$decompressor" != pigz ] || decompressor=gzip
    read_backup_to_end "$file" section_facts
    mv "$work/end" "$work/sections"
}

# sections_named NAME: prints OFFSET, LENGTH and ENCODING of the databases with this name, in the text's bytes.
sections_named() {
    SECTION_NAME=$1 awk '
        $1 == "section" {
            name = $0
            for (i = 1; i <= 5; i++) sub(/^[^ ]* /, "", name)
            if (name == ENVIRON["SECTION_NAME"]) print $2, $3, $5
        }' "$work/sections"
}

# sections_in_encodings: sections_named for the name of the database in the encoding of each section.
sections_in_encodings() {
    awk '$1 == "section" && $5 !~ /^(-|UTF8|SQL_ASCII)$/ && !seen[$5]++ { print $5 }' "$work/sections" | while IFS= read -r section_encoding; do
        converted=$(quiet_psql "$maintenance" --set=name="$RESTORE_DATABASE" --set=encoding="$section_encoding" 2>/dev/null <<'SQL'
\o /dev/null
SELECT set_config('restore.name', :'name', false);
\o
SET client_encoding TO :'encoding';
SELECT current_setting('restore.name');
SQL
        ) || continue
        sections_named "$converted" | awk -v encoding="$section_encoding" '$3 == encoding'
    done
}

# listed_sections: prints the names of the databases as a list in JSON, for messages.
listed_sections() {
    awk '$1 == "section" { name = $0; for (i = 1; i <= 5; i++) sub(/^[^ ]* /, "", name); printf "%s\"%s\"", (count++ ? "," : "["), name } END { print count ? "]" : "[]" }' "$work/sections"
}

# no_such_section NAMES: fails because the backup does not hold the database, or more than one of this name.
no_such_section() {
    other=$(newest_with_database "$backup")
    if [ -n "$other" ]; then other="Restore it from $other, the newest backup that holds it"; else other="No backup on the volume is known to hold it: check the name"; fi
    case $missing_databases in
        "[$RESTORE_DATABASE_JSON"[],]* | *",$RESTORE_DATABASE_JSON"[],]*)
            fail_with_backup "the database is not in the backup" "the run could not dump '$RESTORE_DATABASE': $backup is incomplete" "$other." ;;
    esac
    fail_with_backup "the database is not in the backup" "'$RESTORE_DATABASE'; $backup holds $(utf8 "$(listed "$1")")" "$other."
}

# part_text: prints the text of the database's part of the file.
part_text() { stage read backup_range "$file" "$part_offset" "$part_bytes" | stage expand decompress; }

# section_text: prints the text of the database's section.
section_text() {
    if [ "$has_part" = yes ]; then
        part_text
    else
        backup_text "$file" 2>"$work/expand.err" | { copy_bytes "$section_offset" >/dev/null && copy_bytes "$section_bytes"; }
    fi
}

# globals_text: prints the text before the first database.
globals_text() {
    if [ "$has_part" = yes ]; then
        globals_rest=${globals_part#* }
        backup_range "$file" "${globals_part%% *}" "${globals_rest%% *}" | decompress
    else
        backup_text "$file" 2>/dev/null | head -c "$globals_bytes"
    fi
}

# read_facts: reads the text of the database; sets `body_offset`, `encoding` (for PGCLIENTENCODING), `late_rows`, `tables`
# and `planned_rows`. Writes the SQL of database.awk, and $work/roles, copies and edits.
read_facts() {
    clear_stages
    TEMPORARY=$RESTORE_TEMPORARY
    export TEMPORARY
    # A restore of all databases reads the facts when it checks them.
    if [ -e "${RESTORE_FACTS:-}/facts" ]; then
        cp "$RESTORE_FACTS"/* "$work" || fail "the facts about the backup cannot be copied" "$RESTORE_FACTS" "Read the messages above."
    else
        run_group restore_facts
    fi
    [ "$(fact complete) $(fact bytes)" = "yes $section_bytes" ] || fail_with_backup "the backup cannot be read to the end of the database" \
        "$backup: $(stage_message_of expand) $(fact bytes) of $section_bytes bytes of the text" "Check the storage behind the volume, and restore the database from another backup."
    body_offset=$(fact body) encoding=$(fact encoding) standard=$(fact standard)
    [ "$encoding" != - ] || encoding=UTF8
    section_name=$(fact name)
    if [ "$has_part" = yes ] && [ "$section_name" != "$RESTORE_DATABASE" ]; then
        case $encoding:$section_name in
            UTF8:*) is_other=yes ;;
            *[!\ -~]*) is_other=no ;; # the same name may have other bytes
            *) is_other=yes ;;
        esac
        [ "$is_other" = no ] || fail_with_backup "the manifest is not that of this backup" \
            "it has '$RESTORE_DATABASE' where '$(utf8 "$section_name")' begins" "Restore the database from another backup."
    fi
    sed -n "s/^role$TAB//p" "$work/facts" >"$work/roles"
    # The rows of extensions that are restored after the swap are not in the body.
    awk -F "$TAB" -v late="$LATE_EXTENSIONS" -v late_rows="$work/late_rows" '
        BEGIN { count = split(late, part, " "); for (i = 1; i < count; i += 2) schema[part[i]] = part[i + 1] }
        $1 == "extension_part" && ($4 in schema) { is_late[schema[$4]] = 1 }
        $1 == "copy" {
            match($3, /^[^.]*/)
            if (substr($3, 1, RLENGTH) in is_late) rows += $2
            else print
        }
        END { printf "%.0f\n", rows > late_rows }' "$work/facts" >"$work/copies"
    late_rows=$(cat "$work/late_rows")
    planned_rows=$(awk -F "$TAB" '{ rows += $2 } END { printf "%.0f", rows }' "$work/copies")
    inserts=$(fact inserts)
    if [ -n "${RESTORE_FACTS:-}" ] && [ ! -e "$RESTORE_FACTS/facts" ]; then
        mkdir -p "$RESTORE_FACTS" && cp "$work"/*.sql "$RESTORE_FACTS" && cp "$work/facts" "$RESTORE_FACTS/facts.new" && mv "$RESTORE_FACTS/facts.new" "$RESTORE_FACTS/facts" || :
    fi
    make_edits
}

# step_restore_facts: before version 11, the statements about the database are among the globals.
step_restore_facts() {
    {
        [ "$globals_bytes" -eq 0 ] || globals_text
        section_text
    } | stage facts database_facts -v folder="$work" -v late="$LATE_EXTENSIONS" -v globals_bytes="$globals_bytes" -v database="$RESTORE_DATABASE" -v schema="${schema_file:-}" >"$work/facts"
}

fact() { fact_of "$1" "$work/facts"; }

# version_of EXTENSION: prints its version on the server that was backed up, if the manifest has it.
version_of() { manifest_fact section_extensions | sed -n "s/.*{\"name\":\"$1\",\"version\":\"\([^\"\\\\']*\)\".*/\1/p"; }

# make_edits: writes the changes of the body for edit_text to $work/edits, what follows it to $work/extensions.sql, and what
# follows the swap to $work/at_end.sql.
make_edits() {
    if [ -n "$RESTORE_SEARCH_PATH" ] && ! grep -q "^search_path$TAB" "$work/facts"; then
        warn "search_path has no effect: the dump sets it for each object, as PostgreSQL did before 2018"
    fi
    {
        body_edits "$work/facts" "$work" "$RESTORE_SEARCH_PATH"
        awk -F "$TAB" '$1 == "about" || $1 == "extension_part" { print $2, $3, "-" }' "$work/facts"
    } | sort -s -n -k 1,1 >"$work/edits"
    for_extensions "$work/facts" extension_after >"$work/extensions.sql"
    for_extensions "$work/facts" extension_at_end >"$work/at_end.sql"
}
