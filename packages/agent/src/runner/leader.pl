#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# The leader of one attempt: parents its processes, holds the state directory's lock until none is left,
# and stops them by itself when the runner is gone (PROTOCOL G1).
#
# leader.pl PRCTL STOP_MS PROGRAM ARGUMENT...
#   PRCTL    number of the system call prctl, or 0 where the system has none
#   STOP_MS  between TERM and KILL when the runner is gone
# Descriptor 3 is the lock, 4 the runner's control socket; the task gets neither. The task's variables
# come with "T_" before their names, so that none of them (PERL5OPT, LD_PRELOAD) acts on the leader and
# the leader itself does not look like a process of the task.
# To the runner:  "<pid>\n" once the task's process is there, or "!<errno>\n" when it cannot be started.
# From it:        "<ms>\n": stop, KILL after so long. The end of the socket: the runner is gone, stop.
# Ends as the task's process ended, by the same code or signal, once nothing of the attempt is left.
#
# Perl, because it is in every Debian and Ubuntu, starts in 3 ms and can make system calls: a process that
# leaves its session and parent and cleans its environment still comes to this one, its subreaper.
# Core language only: modules would double the time to start.
use strict;

my ($prctl, $stop_ms, @argv) = @ARGV;
my ($set_pdeathsig, $set_dumpable, $set_subreaper, $pidfd_open) = (1, 4, 36, 434);
my ($set_descriptor_flags, $close_on_exec, $no_hang) = (2, 1, 1);

open(my $lock, '+<&=', 3) or exit 126;
open(my $control, '+<&=', 4) or exit 126;
fcntl($_, $set_descriptor_flags, $close_on_exec) for $lock, $control;
syscall($prctl, $set_subreaper, 1, 0, 0, 0) if $prctl;

my $leader = $$;
my $task = fork;
if (!defined $task) {
  syswrite $control, '!' . ($! + 0) . "\n";
  exit 126;
}
be_the_task() if $task == 0;

# What stops the work is the runner's word, or its end; a signal to the whole session is for the task.
$SIG{$_} = 'IGNORE' for 'TERM', 'INT', 'HUP', 'QUIT', 'PIPE', 'USR1', 'USR2';
$0 = "remex-leader $ENV{T_REMEX_TASK} $ENV{T_REMEX_ATTEMPT}";
syswrite $control, "$task\n";

# Readable when the task's process has ended, so that its end and the runner's are waited for together.
my $ended = $prctl ? syscall($pidfd_open, $task, 0) : -1;
my ($status, $runner_gone, $said, $kill_at, $killed_at) = (undef, 0, '');

while (1) {
  hear() if wait_for_news();
  my $none_left = reap();
  if (defined $status) {
    my @left = $none_left ? () : left();
    leave() if !@left;
    # While the runner lives it holds the lock itself, and reports what KILL cannot end.
    leave() if !$runner_gone && defined $killed_at && now() - $killed_at > 10;
    if (!defined $kill_at || now() >= $kill_at) { end_all(@left) } else { kill 'TERM', @left }
  } elsif (defined $kill_at && now() >= $kill_at) {
    end_all(left());
  }
}

sub be_the_task {
  setpgrp(0, 0);
  syscall($prctl, $set_pdeathsig, 9, 0, 0, 0) if $prctl;
  exit 126 if getppid() != $leader;
  %ENV = map { /^T_(.*)/s ? ($1 => $ENV{$_}) : () } keys %ENV;
  { no warnings 'exec'; exec { $argv[0] } @argv }
  syswrite $control, '!' . ($! + 0) . "\n";
  exit 126;
}

# Waits until the task's process has ended or the runner has a word; true for the latter.
sub wait_for_news {
  my $watched = '';
  vec($watched, 4, 1) = 1 if !$runner_gone;
  vec($watched, $ended, 1) = 1 if $ended >= 0 && !defined $status;
  # Without a deadline the wait is only as long as a dead orphan may stay unreaped.
  my $patience = defined $kill_at || defined $status ? 0.02 : $ended >= 0 ? 5 : 0.05;
  my $ready = select($watched, undef, undef, $patience);
  return $ready > 0 && !$runner_gone && vec($watched, 4, 1);
}

sub hear {
  my $bytes = sysread $control, $said, 64, length $said;
  return if defined $bytes && $bytes > 0 && $said !~ /\n/;
  my $ms = $said =~ s/^(\d+)\n// ? $1 : $stop_ms;
  $runner_gone = 1 if !$bytes;
  return if defined $kill_at;
  $kill_at = now() + $ms / 1000;
  kill 'TERM', left();
}

# Takes in ended children; true when there are none at all any more.
sub reap {
  while (1) {
    my $pid = waitpid -1, $no_hang;
    return $pid < 0 if $pid <= 0;
    $status = $? if $pid == $task;
  }
}

sub end_all {
  $killed_at = now() if !defined $killed_at;
  kill 'KILL', @_;
}

# Every living process below this one. Without /proc: the task's group.
sub left {
  opendir(my $processes, '/proc') or return kill(0, -$task) ? -$task : ();
  my %children;
  for my $pid (grep { /^\d+$/ } readdir $processes) {
    open(my $file, '<', "/proc/$pid/stat") or next;
    my $line = do { local $/; <$file> };
    # The program's name stands in parentheses and may hold anything.
    next if !defined $line || substr($line, rindex($line, ')') + 2) !~ /^([^ZX]) (\d+)/;
    push @{ $children{$2} }, $pid;
  }
  my @found = @{ $children{$$} || [] };
  for (my $i = 0; $i < @found; $i++) { push @found, @{ $children{ $found[$i] } || [] } }
  return @found;
}

sub now {
  require Time::HiRes;
  return Time::HiRes::clock_gettime(Time::HiRes::CLOCK_MONOTONIC());
}

sub leave {
  my $signal = $status & 127;
  exit($status >> 8) if !$signal;
  # The task has left its core, if it was to leave one; this process leaves none.
  syscall($prctl, $set_dumpable, 0, 0, 0, 0) if $prctl;
  $SIG{ (split ' ', signal_names())[$signal] } = 'DEFAULT' if $signal != 9 && $signal != 19;
  kill $signal, $$;
  select(undef, undef, undef, 1);
  exit(128 + $signal);
}

sub signal_names {
  require Config;
  return $Config::Config{sig_name};
}
