# SPDX-License-Identifier: ISC
# bash completion for renewctl
# shellcheck shell=bash

_renewctl_names() {
    renewctl status --json 2>/dev/null | sed -n 's/^\t*"name":\t"\(.*\)",$/\1/p'
}

_renewctl() {
    local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} verb='' i
    local verbs='status explain plan renew deploy preflight check reload records plugin
        issue pause resume revoke delete account backup'
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
        -s) i=$((i + 1)) ;;
        -*) ;;
        *)
            verb=${COMP_WORDS[i]}
            break
            ;;
        esac
    done
    local words=''
    if [[ $previous == -s ]]; then
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
        return
    fi
    case $verb in
    '') words="$verbs -s --json --help --version" ;;
    status) words="--failed --check --json --help $(_renewctl_names)" ;;
    explain) words="--json --help $(_renewctl_names)" ;;
    plan) words='--days --json --help' ;;
    renew) words="--due --wait --dry-run --force --json --help $(_renewctl_names)" ;;
    deploy) words="--wait --json --help $(_renewctl_names)" ;;
    preflight) words="--json --help $(_renewctl_names)" ;;
    records) words='clean --json --help' ;;
    issue)
        words='-d -m --agree-tos --ca --challenge --provider --webroot --key --name --no-wait --json --help'
        ;;
    pause | resume) words="ca: provider: --json --help $(_renewctl_names)" ;;
    revoke) words="--reason --replace --with --serial --force --json --help $(_renewctl_names)" ;;
    delete) words='--json --help' ;;
    account)
        words='list show rollover update deactivate recover import --key --force --json --help'
        ;;
    plugin) words='list info --dir --json --help' ;;
    check | backup)
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
        return
        ;;
    *) words='--json --help' ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}
complete -F _renewctl renewctl
