# SPDX-License-Identifier: ISC
# bash completion for renewctl
# shellcheck shell=bash

# Names of what the daemon has: certificates, providers or cas.
_renewctl_names() {
    renewctl "${_renewctl_socket[@]}" status --json 2>/dev/null |
        sed -n '/^\t"'"$1"'":/,/^\t"/ s/^.*"name":\t"\([^"]*\)",$/\1/p'
}

# What follows an option that takes a value; nothing: any text.
_renewctl_values() {
    local challenges='dns-01 http-01 tls-alpn-01 dns-account-01 dns-persist-01'
    local keys='ecdsa-p256 ecdsa-p384 rsa-2048 rsa-3072 rsa-4096'
    case $1 in
    --reason)
        echo unspecified keyCompromise affiliationChanged superseded cessationOfOperation privilegeWithdrawn
        ;;
    --with) echo cert-key ;;
    --challenge) echo "$challenges" ;;
    --key) [[ $2 == account ]] && keys+=' ed25519' && echo "$keys" || echo "$keys" ;;
    --ca) _renewctl_names cas ;;
    --provider) _renewctl_names providers ;;
    esac
}

_renewctl_words() { # verb, the word after it
    local common='--json --help'
    case $1 in
    '')
        echo 'status certificates explain plan renew deploy preflight check reload records plugin issue' \
            'pause resume revoke delete account backup -s --version' "$common"
        ;;
    status | certificates) echo "--failed --check $common" && _renewctl_names certificates ;;
    explain | preflight) echo "$common" && _renewctl_names certificates ;;
    plan) echo "--days $common" ;;
    renew) echo "--due --wait --dry-run --force $common" && _renewctl_names certificates ;;
    deploy) echo "--wait $common" && _renewctl_names certificates ;;
    records) echo "clean $common" ;;
    issue)
        echo '-d --domain -m --mail --agree-tos --ca --challenge --provider --webroot --key --name --no-wait' \
            "$common"
        ;;
    pause | resume) echo "ca: provider: $common" && _renewctl_names certificates ;;
    revoke)
        echo "--reason --replace --with --serial --force $common" && _renewctl_names certificates
        ;;
    account)
        case $2 in
        '') echo "list show rollover update deactivate recover import $common" ;;
        list) echo "$common" ;;
        rollover) echo "--key --force $common" && _renewctl_names cas ;;
        deactivate | import) echo "--force $common" && _renewctl_names cas ;;
        *) echo "$common" && _renewctl_names cas ;;
        esac
        ;;
    plugin) [[ -z $2 ]] && echo 'list info' || echo "--dir $common" ;;
    backup) echo "--force $common" ;;
    *) echo "$common" ;;
    esac
}

_renewctl() {
    local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} verb='' second='' i
    local -a _renewctl_socket=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
        -s)
            _renewctl_socket=(-s "${COMP_WORDS[i + 1]}")
            i=$((i + 1))
            ;;
        -*) ;;
        *)
            if [[ -z $verb ]]; then
                verb=${COMP_WORDS[i]}
            else
                second=${COMP_WORDS[i]}
                break
            fi
            ;;
        esac
    done
    if [[ $previous == : ]]; then # ca:NAME, which bash takes for three words
        previous=--${COMP_WORDS[COMP_CWORD - 2]}
    elif [[ $word == : ]]; then
        previous=--$previous word=''
    fi
    case $previous in
    -s | --webroot | --dir) mapfile -t COMPREPLY < <(compgen -f -- "$word") ;;
    --reason | --with | --challenge | --key | --ca | --provider)
        mapfile -t COMPREPLY < <(compgen -W "$(_renewctl_values "$previous" "$verb")" -- "$word")
        ;;
    -d | --domain | -m | --mail | --name | --serial | --days) COMPREPLY=() ;;
    *)
        mapfile -t COMPREPLY < <(compgen -W "$(_renewctl_words "$verb" "$second")" -- "$word")
        if [[ $verb == check || $verb == backup || ($verb == account && $second == import) ||
            ($verb == plugin && $second == info) ]]; then
            mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -f -- "$word")
        fi
        ;;
    esac
}
complete -F _renewctl renewctl
