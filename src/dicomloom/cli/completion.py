"""`dicomloom completion`: made from the commands' own argument parsers, so that it stays true."""

from __future__ import annotations

import argparse
import sys

from dicomloom.cli.main import COMMANDS, parser_of

EPILOG = """\
examples:
  source <(dicomloom completion bash)       in ~/.bashrc
  dicomloom completion zsh > ~/.zfunc/_dicomloom
"""

_BASH = """\
_dicomloom() {{
    local current=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD-1]}}
    if [ "$COMP_CWORD" -eq 1 ]; then
        COMPREPLY=($(compgen -W "{commands} --help --version" -- "$current"))
        return
    fi
    case "${{COMP_WORDS[1]}} $previous" in
{values}
    esac
    case "${{COMP_WORDS[1]}} $current" in
{options}
    *) COMPREPLY=($(compgen -f -- "$current")) ;;
    esac
}}
complete -o filenames -F _dicomloom dicomloom
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the command's arguments."""
    parser.add_argument("shell", choices=("bash", "zsh"))


def _script() -> str:
    options, values = [], []
    for command in COMMANDS:
        parser, _ = parser_of(command)
        names: list[str] = []
        for action in parser._actions:
            names += action.option_strings
            words = " ".join(map(str, action.choices or ()))
            if words and action.option_strings:
                pattern = "|".join(f'"{command} {name}"' for name in action.option_strings)
                reply = f'COMPREPLY=($(compgen -W "{words}" -- "$current")); return'
                values.append(f"    {pattern}) {reply} ;;")
            elif words:
                reply = f'COMPREPLY=($(compgen -W "{words}" -- "$current")); return'
                values.append(f'    "{command} {command}") {reply} ;;')
        reply = f'COMPREPLY=($(compgen -W "{" ".join(names)}" -- "$current"))'
        options.append(f'    "{command} -"*) {reply} ;;')
    return _BASH.format(
        commands=" ".join(COMMANDS), options="\n".join(options), values="\n".join(values)
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the script; zsh runs bash's through its own bashcompinit."""
    if arguments.shell == "zsh":
        sys.stdout.write("#compdef dicomloom\nautoload -U +X bashcompinit && bashcompinit\n")
    sys.stdout.write(_script())
    return 0
