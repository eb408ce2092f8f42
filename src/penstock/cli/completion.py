"""Prints the completion script of a shell."""

from __future__ import annotations

import click
from click.shell_completion import BashComplete, get_completion_class

from penstock.cli import output
from penstock.cli.root import example

_SHELLS = ("bash", "zsh", "fish")

_BASH = """\
%(complete_func)s() {
    local IFS=$'\\n'
    local -a words=()
    local word replaced i glue=

    # For bash a colon is a word of its own, and only what follows it is replaced.
    for ((i = 0; i <= COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if ((i == COMP_CWORD)) && [[ ${COMP_LINE:COMP_POINT-1:1} == [[:space:]] ]]; then
            glue=
        fi
        if ((i > 1)) && [[ -n $glue || $word == :* ]]; then
            words[-1]+=$word
        else
            words+=("$word")
        fi
        [[ $word == *[!:]* || -z $word ]] && glue= || glue=1
    done
    [[ -n $glue ]] && word=
    replaced=${words[-1]%%"$word"}

    local type value
    while IFS=, read -r type value; do
        case $type in
            dir) COMPREPLY=(); compopt -o dirnames ;;
            file) COMPREPLY=(); compopt -o default ;;
            plain) COMPREPLY+=("${value#"$replaced"}") ;;
        esac
    done < <(
        env COMP_WORDS="${words[*]}" COMP_CWORD=$((${#words[@]} - 1)) %(complete_var)s=bash_complete "$1"
    )
}

complete -o nosort -F %(complete_func)s %(prog_name)s
"""


@click.command()
@click.argument("shell", type=click.Choice(_SHELLS))
@click.pass_context
@example("penstock completion bash > ~/.local/share/bash-completion/completions/penstock")
def completion(ctx: click.Context, shell: str) -> None:
    """Print what lets SHELL complete commands, options, apps, services, settings and stores."""
    kind = _Bash if shell == "bash" else get_completion_class(shell)
    if kind is not None:
        output.raw(kind(ctx.find_root().command, {}, "penstock", "_PENSTOCK_COMPLETE").source())


class _Bash(BashComplete):
    """As click has it, but for words with a colon in them: names of stores."""

    source_template = _BASH
