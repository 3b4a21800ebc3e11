#!/bin/bash
# Writes the lists anew that tests read: an office program opens those in `source` and saves them, as planners do.
#
# usage: tests/lists/make.sh
#
# Needs LibreOffice: apt-get install --no-install-recommends libreoffice-calc-nogui
set -euo pipefail
cd "$(dirname "$0")"
command -v soffice >/dev/null || {
    echo 'soffice: not found: apt-get install --no-install-recommends libreoffice-calc-nogui' >&2
    exit 1
}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# The program's numbers of locales, encodings and separators.
declare -A number=([de]=1031 [en]=1033) locales=([de]=de-DE [en]=en-US)
declare -A encodings=([utf-8]=76 [windows-1252]=1 [utf-16]=65535 [ms-dos]=4 [macintosh]=2)
declare -A separators=([comma]=44 [semicolon]=59 [tab]=9)
filter='Text - txt - csv (StarCalc)'

for language in de en; do
    mkdir -p "$folder/$language/user"
    cat >"$folder/$language/user/registrymodifications.xcu" <<XML
<?xml version="1.0" encoding="UTF-8"?>
<oor:items xmlns:oor="http://openoffice.org/2001/registry">
<item oor:path="/org.openoffice.Setup/L10N"><prop oor:name="ooSetupSystemLocale" oor:op="fuse"><value>${locales[$language]}</value></prop></item>
</oor:items>
XML
done

# office LANGUAGE COLUMNS SOURCE FORMAT RESULT: opens a file of `source` and saves it as FORMAT. COLUMNS says what is made of
# its columns; without it, numbers and dates are recognised, as with a double click.
office() {
    local language=$1 columns=$2 source=$3 format=$4 result=$5
    soffice "-env:UserInstallation=file://$folder/$language" --headless \
        "--infilter=$filter:59,34,76,1,$columns,${number[$language]},false,true" \
        --convert-to "$format" --outdir "$folder/out" "source/$source" >"$folder/log" 2>&1
    local saved=("$folder"/out/*)
    [[ ${#saved[@]} -eq 1 && -s ${saved[0]} ]] || { cat "$folder/log" >&2; exit 1; }
    mv "${saved[0]}" "$result"
}

# csv LANGUAGE SEPARATOR ENCODING: the format's name for the program. Cells are saved as they are shown.
csv() {
    echo "csv:$filter:${separators[$2]},34,${encodings[$3]},1,,${number[$1]},false,true"
}

text='1/2/2/2/3/2/4/2'
rm -f ./*.csv ./*.xlsx ./*.html
for language in de en; do
    for separator in comma semicolon tab; do
        for encoding in utf-8 windows-1252 utf-16; do
            office "$language" "$text" "users-$language.csv" "$(csv "$language" "$separator" "$encoding")" \
                "users-$language-$separator-$encoding.csv"
        done
    done
    office "$language" "$text" "activities-$language.csv" "$(csv "$language" semicolon windows-1252)" "activities-$language.csv"
    office "$language" '' spoilt.csv "$(csv "$language" semicolon utf-8)" "spoilt-$language.csv"
done
office de "$text" users-de.csv "$(csv de semicolon ms-dos)" users-ms-dos.csv
office de "$text" users-de.csv "$(csv de semicolon macintosh)" users-macintosh.csv
for format in xlsx html; do
    office de "$text" users-de.csv "$format" "users.$format"
done
