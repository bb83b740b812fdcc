"""The text of ``README``: the syntax that this kernel understands."""

from typing import Final

__all__ = ["README"]

README: Final = """\
kprobesim tracing, after Linux 6.1's:

# echo 0 > tracing_on : the buffer stays as it is
# echo 1 > tracing_on : records are written again
# cat trace           : what is in the buffer
# echo > trace        : empty it
# cat trace_pipe      : take the records out as they come
# cat per_cpu/cpu0/trace : the records of one CPU
# cat trace_options   : switches of the output, set by name or no<name>
# echo text > trace_marker : a record with this text

  kprobe_events\t\t- Create/append/remove/show the kernel dynamic events
\t\t\t  Write into this file to define/undefine new trace events.
  uprobe_events\t\t- the same for the userspace dynamic events
  dynamic_events\t- the same for all kinds of dynamic events

\t  accepts: event-definitions (one definition per line)
\t   Format: p[:[<group>/][<event>]] <place> [<args>]
\t           r[maxactive][:[<group>/][<event>]] <place> [<args>]
\t           e[:[<group>/][<event>]] <attached-group>.<attached-event> [<args>] [if <filter>]
\t           -:[<group>/][<event>]
\t    place: [<module>:]<symbol>[+<offset>]|<memaddr>
place (kretprobe): [<module>:]<symbol>[+<offset>]%return|<memaddr>
  place (uprobe): <path>:<offset>[%return][(ref_ctr_offset)]
\t     args: <name>=fetcharg[:type]
\t fetcharg: %<register>, @<address>, @<symbol>[+|-<offset>],
\t           $stack<index>, $stack, $retval, $comm, $arg<N>,
\t           +|-[u]<offset>(<fetcharg>), \\imm-value, \\"imm-string"
\t           and in an event probe $<field> of the attached event
\t     type: s8/16/32/64, u8/16/32/64, x8/16/32/64, string, symbol,
\t           b<bit-width>@<bit-offset>/<container-size>, ustring,
\t           symstr, <type>\\[<array-size>\\]

  events/<group>/<event>/enable\t- 1 starts the event, 0 stops it
  events/<group>/<event>/filter\t- which records are kept, by their fields
  events/<group>/<event>/format\t- the fields of a record
  events/<group>/<event>/trigger\t- what else a hit does, one command at a time
\t    Format: <trigger>[:count][ if <filter>], taken off by !<trigger>
\t   trigger: traceon, traceoff, snapshot, stacktrace
\t            enable_event:<system>:<event>, disable_event:<system>:<event>
\t            enable_hist:<system>:<event>, disable_hist:<system>:<event>
\t            hist:keys=<field>[,<field>][:vals=<field>[,<field>]]
\t                 [:sort=<field>[.descending]][:size=<entries>]
\t                 [:pause|:continue|:clear][ if <filter>]
\t modifiers: .hex .sym .sym-offset .execname .syscall .log2 .buckets=<n>
\t            .usecs, and of vals .percent .graph
  events/<group>/<event>/hist\t- the histograms
  uprobe_profile\t\t- hits of each probe in a program
  kprobe_profile\t\t- hits and misses of each probe
  error_log\t\t\t- why commands were refused
"""
