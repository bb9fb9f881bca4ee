# An account of Redmine as real ones look: run by `rails runner` in an empty database. The same account every time.
require 'stringio'

KEY = ENV.fetch('SEED_KEY')
THEN = Time.utc(2025, 3, 10, 9, 0, 0)
DOMAIN = 'instalaciones-levante.example'
HOSTILE = %q(<script>alert("x")</script> & <img src=x onerror=alert(1)> {{ 7*7 }} "quoted" 'single' </p>)
TEXTILE = "h2. Visita\n\n* _primero_\n* *segundo*: @codigo@\n\n|a|b|\n|1|2|\n\n\"enlace\":http://example.com/?a=1&b=2\n\n<pre>if a < b && c > d</pre>"
EMOJI = "Caldera 🔥 n.º 7 — ¡ojo! 👩‍🔧 e\u0301 zero\u200bwidth 日本語 العربية"

def past(record, days, columns = %w[created_on updated_on])
  record.update_columns(columns.to_h { |name| [name, THEN + days.days] })
end

def person(login, first, last, mail, status: User::STATUS_ACTIVE, phone: nil)
  user = User.new(firstname: first, lastname: last, mail: mail, language: 'es', mail_notification: 'none')
  user.login = login
  user.password = user.password_confirmation = 'geheim-0123456789'
  user.custom_field_values = { PHONE.id.to_s => phone } if phone
  user.save!
  user.update_columns(status: status)
  past(user, 1)
  user
end

def custom(kind, name, format, **more)
  field = kind.new({ name: name, field_format: format, is_filter: false }.merge(more))
  field.visible = true
  field.save!
  field
end

ActiveRecord::Base.transaction do
  Redmine::DefaultData::Loader.load('en')
  { 'rest_api_enabled' => '1', 'login_required' => '1', 'notified_events' => [], 'text_formatting' => 'textile', 'host_name' => 'redmine.example.com',
    'timespan_format' => 'decimal' }.each { |name, value| Setting[name] = value }
  admin = User.find_by_login('admin')
  admin.update_columns(must_change_passwd: false)
  Token.where(user_id: admin.id, action: 'api').delete_all
  Token.create!(user: admin, action: 'api').update_columns(value: KEY)
  User.current = admin

  trackers = Tracker.sorted.to_a
  PHONE = custom(UserCustomField, 'Phone', 'string')
  everywhere = { is_for_all: true, trackers: trackers }
  ERP = custom(IssueCustomField, 'ERP code', 'string', **everywhere)
  BUDGET = custom(IssueCustomField, 'Budget', 'float', **everywhere)
  PAID = custom(IssueCustomField, 'Paid', 'bool', **everywhere)
  SIGNED = custom(IssueCustomField, 'Signed on', 'date', **everywhere)
  CHANNELS = custom(IssueCustomField, 'Channels', 'list', multiple: true, possible_values: ['Phone', 'Web', 'Visit & <call>'], **everywhere)
  TAX = custom(ProjectCustomField, 'Tax id', 'string')

  lucia = person('lucia', 'Lucía', 'Ferrer', "LUCIA.ferrer@#{DOMAIN}", phone: '961 234 567')
  javier = person('javier', 'Javier', 'Ortega', "javier.ortega@#{DOMAIN}")
  marta = person('marta', 'Marta', 'Soler', "marta.soler@#{DOMAIN}")
  gone = person('gone', 'Quim', "O'Neil <b>", "quim@antiguo.example", status: User::STATUS_LOCKED)
  client = person('client1', 'Ana', "D'Ávila 😀", 'ana@cliente.example', phone: '0034600111222')
  other = person('client2', 'Bo', 'X', 'bo+redmine@cliente.example', phone: 'no phone')
  staff = [lucia, javier, marta]

  kinds = [
    ['Instalaciones Núñez, S.A.', 'nunez', 'A12345674'], ['Taller "El Ñu" & <b>Hijos</b>', 'taller', '00012345Z'], [EMOJI[0, 40], 'caldera', nil],
    ['Subproyecto', 'sub', ''], ['Cerrado 2024', 'cerrado', 'B0001'], ['  Espacios   dobles  ', 'espacios', nil]
  ]
  projects = kinds.each_with_index.map do |(name, identifier, tax), at|
    project = Project.new(name: name, description: [TEXTILE, HOSTILE, nil, '', EMOJI, 'x' * 3000][at], is_public: false)
    project.identifier = identifier
    project.homepage = 'https://example.com/a&b/<2>' if at == 1
    project.enabled_module_names = %w[issue_tracking time_tracking]
    project.trackers = trackers
    project.custom_field_values = { TAX.id.to_s => tax } unless tax.nil?
    project.save!
    past(project, at)
    project
  end
  projects[3].set_parent!(projects[0])
  projects[4].reload.update_columns(status: Project::STATUS_CLOSED)
  manager, developer, reporter = Role.givable.to_a
  projects.each_with_index do |project, at|
    Member.create!(project: project, principal: staff[at % 3], roles: [manager, developer])
    Member.create!(project: project, principal: at.even? ? client : other, roles: [reporter]) unless at == 5
  end
  categories = projects.first(2).map { |project| IssueCategory.create!(project: project, name: 'Climatización & <aire>') }
  version = Version.create!(project: projects[0], name: '1.0 «beta»', due_date: Date.new(2025, 9, 30))

  statuses, priorities = IssueStatus.sorted.to_a, IssuePriority.active.to_a
  subjects = [HOSTILE, EMOJI, '00042', '  con   espacios ', 'a' * 255, '=HYPERLINK("http://x")', '-1', 'null', "Línea\u2028separada", '&amp;lt; ya escapado']
  issues = (0...32).map do |at|
    issue = Issue.new(project: projects[at % 6], tracker: trackers[at % 3], author: [client, other, lucia][at % 3], status: statuses[at % 6], priority: priorities[at % 5])
    issue.subject = at < subjects.size ? subjects[at] : "Incidencia #{at}"
    issue.description = [TEXTILE, HOSTILE, EMOJI, nil, '', "línea 1\r\nlínea 2\r\n\r\n" + 'palabra ' * 4000][at % 6]
    issue.assigned_to = at % 4 == 3 ? nil : staff.find { |one| projects[at % 6].members.map(&:principal).include?(one) }
    issue.category = categories[at % 6] if at % 6 < 2
    issue.fixed_version = version if (at % 6).zero? && at < 20
    issue.start_date = Date.new(2025, 1, 1) + at if at.even?
    issue.due_date = Date.new(2025, 6, 1) + at if (at % 4).zero?
    issue.estimated_hours = at * 1.25 if at % 3 == 1
    issue.done_ratio = (at % 11) * 10
    issue.custom_field_values = {
      ERP.id.to_s => ['00042', '', "0#{at}", 'A-1 <x>'][at % 4], BUDGET.id.to_s => ['1234.50', '', '0', '-3.1'][at % 4],
      PAID.id.to_s => ['1', '0', ''][at % 3], SIGNED.id.to_s => (at % 5).zero? ? '2025-02-28' : '',
      CHANNELS.id.to_s => [['Phone'], ['Phone', 'Visit & <call>'], ['']][at % 3]
    }
    issue.save!(validate: projects[at % 6].active?)
    issue.reload.update_columns(parent_id: nil)
    issue
  end
  issues[12].reload.update!(parent_issue_id: issues[0].id)
  [[0, 6, 'blocks'], [1, 7, 'relates'], [2, 8, 'precedes']].each do |from, to, kind|
    IssueRelation.create!(issue_from: issues[from].reload, issue_to: issues[to].reload, relation_type: kind, delay: kind == 'precedes' ? 2 : nil)
  end

  issues.each_with_index do |issue, at|
    next unless at % 3 == 0 || at == 1

    [HOSTILE, TEXTILE, EMOJI, nil].first(1 + (at % 4)).each_with_index do |text, turn|
      issue.reload.init_journal([client, javier, lucia][turn % 3], text.to_s)
      issue.current_journal.private_notes = turn == 2
      issue.done_ratio = (issue.done_ratio + 10) % 110
      issue.status = statuses[(at + turn + 1) % 6] if turn == 1
      issue.save!(validate: false)
    end
  end
  files = [[0, 'informe ñ 日本.txt', "uno\r\ndos\0tres", 'text/plain'], [0, '<b>x</b>&.html', '<script>alert(1)</script>', 'text/html'],
           [1, 'a' * 120 + '.bin', (0..255).map(&:chr).join * 40, 'application/octet-stream'], [7, 'foto.png', "\x89PNG\r\n\x1a\n" + 'z' * 500, 'image/png']]
  files.each do |at, name, content, kind|
    file = StringIO.new(content.b)
    file.define_singleton_method(:original_filename) { name }
    file.define_singleton_method(:content_type) { kind }
    Attachment.create!(container: issues[at], file: file, author: client, description: HOSTILE[0, 60])
  end

  activities = TimeEntryActivity.shared.active.to_a
  [0, 0, 3, 6, 9, 13, 21, 27, 31].each_with_index do |at, turn|
    entry = TimeEntry.new(project: issues[at].project, issue: issues[at], hours: [0.25, 1.5, 8, 23.99][turn % 4], spent_on: Date.new(2025, 4, 1) + turn)
    entry.comments = [HOSTILE, '', EMOJI, nil][turn % 4]
    entry.activity = activities[turn % 2]
    entry.author = entry.user = [lucia, javier][turn % 2]
    entry.save!(validate: false)
    past(entry, 20 + turn)
  end
  whole = TimeEntry.new(project: projects[0], hours: 2, spent_on: Date.new(2025, 5, 5), comments: 'Sin incidencia')
  whole.activity, whole.author, whole.user = activities[0], lucia, lucia
  whole.save!

  Journal.order(:id).each_with_index { |journal, at| journal.update_columns(created_on: THEN + (30 + at).hours) }
  Attachment.order(:id).each { |file| file.update_columns(created_on: THEN + file.id.days) }
  issues.each_with_index { |issue, at| past(issue.reload, 10 + at) }
end
