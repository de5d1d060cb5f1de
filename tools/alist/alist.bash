# SPDX-License-Identifier: GPL-2.0-only
# bash completion for alist(1): verbs, their options, and files.

_alist()
{
	local verbs="cost compare record replay demo show"
	local current=${COMP_WORDS[COMP_CWORD]} verb="" word options

	for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
		case " $verbs " in
		*" $word "*)
			verb=$word
			break
			;;
		esac
	done
	case $current in
	-*)
		# What --help prints is the one list of options there is.
		options=$("${COMP_WORDS[0]}" ${verb:+"$verb"} --help 2>/dev/null |
			grep -oE -- '--[a-z]+(-[a-z]+)*' | sort -u)
		mapfile -t COMPREPLY < <(compgen -W "$options" -- "$current")
		;;
	*)
		if [ -z "$verb" ]; then
			mapfile -t COMPREPLY < <(compgen -W "$verbs" -- "$current")
		else
			mapfile -t COMPREPLY < <(compgen -f -- "$current")
		fi
		;;
	esac
}
complete -o filenames -F _alist alist
