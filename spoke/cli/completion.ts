// `weir completion bash|zsh`: completion made from the commands themselves, so that it can never list one that is gone.

import type { Command } from 'commander';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import { EXIT, settle } from './output.ts';

export function registerCompletion(program: Command): void {
  program
    .command('completion')
    .description('print a completion script: eval "$(weir completion bash)"')
    .argument('<shell>', 'bash or zsh')
    .action((shell: string) =>
      settle(false, async () => {
        if (shell !== 'bash' && shell !== 'zsh')
          throw new WeirError('invalid_argument', `there is no completion for ${shell}`, {
            next: 'choose bash or zsh',
          });
        process.stdout.write(
          shell === 'bash' ? bash(program) : `autoload -U +X bashcompinit && bashcompinit\n${bash(program)}`,
        );
        return Promise.resolve(EXIT.ok);
      }),
    );
}

/** One word list per command path; zsh reads the same through its bash mode. */
function bash(program: Command): string {
  const cases: string[] = [];
  const walk = (command: Command, path: string): void => {
    const options = command.options.map(({ long }) => long).filter((long) => long !== undefined && long !== null);
    const words = [...command.commands.map((child) => child.name()), ...options, '--help'];
    cases.push(`    '${path}') words='${words.join(' ')}' ;;`);
    for (const child of command.commands) walk(child, `${path} ${child.name()}`.trim());
  };
  walk(program, '');
  return `_weir() {
  local current="\${COMP_WORDS[COMP_CWORD]}" path='' word words=''
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$word" in -*) ;; *) path="\${path:+$path }$word" ;; esac
  done
  case "$path" in
${cases.join('\n')}
    *) COMPREPLY=($(compgen -f -- "$current")); return ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -F _weir weir
`;
}
